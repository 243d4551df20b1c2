//! `notme authority backup` and `restore`.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use notme_authority::{AdminError, AuditHead, BackupError, Published, SealError, SystemClock};

use super::{advised, audit::HEAD_MAX, place, protection};
use crate::{
    arguments::{AuthorityBackup, AuthorityRestore},
    failure::{Exit, Failure, Outcome, read_file},
    home::Home,
};

pub(super) fn backup(home: &Home, arguments: &AuthorityBackup) -> Outcome {
    let place = place(home, &arguments.place)?;
    notme_authority::backup(&place, &arguments.file, Arc::new(SystemClock)).map_err(told)?;
    writeln!(io::stdout(), "wrote {}", arguments.file.display())?;
    let kek = place.directory().join("kek");
    if kek.exists() {
        writeln!(
            io::stderr(),
            "`{}` opens its keys: keep a copy of that, in another place",
            kek.display()
        )?;
    }
    Ok(Exit::Yes)
}

pub(super) fn restore(home: &Home, arguments: &AuthorityRestore) -> Outcome {
    let published = match &arguments.head {
        Some(file) if !arguments.force => {
            let head = AuditHead::read_unchecked(&read_file(file, HEAD_MAX)?);
            Published::Head(head.map_err(Failure::usage)?)
        }
        Some(_) | None => Published::Unknown,
    };
    let restored = notme_authority::restore(
        &place(home, &arguments.place)?,
        &arguments.file,
        &protection(&arguments.sealing)?,
        published,
        Arc::new(SystemClock),
    )
    .map_err(told)?;
    let mut out = io::stdout().lock();
    writeln!(out, "restored; rows of the audit: {}", restored.rows)?;
    if let Some(seqno) = restored.seqno {
        writeln!(out, "the trust document is number {seqno}")?;
    }
    for epoch in &restored.given_up {
        writeln!(
            out,
            "epoch {epoch} is without keys: the token does not have them any more; \
             `notme authority rotate --retire` forgets their names"
        )?;
    }
    Ok(Exit::Yes)
}

fn told(error: AdminError) -> Failure {
    let hint = match &error {
        AdminError::Backup(BackupError::Older { .. }) => {
            "look for a newer backup; `--force` restores this one, and what came after it is lost"
        }
        AdminError::Backup(BackupError::Leftover { .. }) => {
            "move it away, and keep it: what was done last may be in it alone"
        }
        AdminError::Backup(BackupError::Log { .. }) => {
            "move both into a directory, as `store.sqlite` and what goes with that name: \
             `notme authority backup --dir` makes a backup of them"
        }
        AdminError::Backup(BackupError::Exists { .. } | BackupError::Founded) => {
            return Failure::no(error);
        }
        AdminError::Open(notme_authority::OpenError::Seal(SealError::KekFile { .. })) => {
            "put the file `kek` that was beside the store there first"
        }
        _ => return advised(error),
    };
    Failure::no(error).hint(hint)
}

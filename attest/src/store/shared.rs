//! `core.sharedRepository`: what is written is for whom git would let read it, and add to it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

/// What files have beside, or in the place of, what they were made with.
#[derive(Clone, Copy)]
enum Sharing {
    Also(u32),
    Exactly(u32),
}

impl Sharing {
    /// Reads the setting as git does; `None` where it changes nothing.
    fn of(repository: &gix::Repository) -> Option<Self> {
        let config = repository.config_snapshot();
        let is_group = || config.boolean("core.sharedRepository") == Some(true);
        // To git, a name without a value is true, and no string.
        let setting = config.string("core.sharedRepository");
        let setting = setting.map(|it| it.to_string()).unwrap_or_default();
        match setting.as_str() {
            "umask" => None,
            "group" => Some(Self::Also(0o660)),
            "all" | "world" | "everybody" => Some(Self::Also(0o664)),
            text => match u32::from_str_radix(text, 8) {
                Ok(0) => None,
                Ok(1) => Some(Self::Also(0o660)),
                Ok(2) => Some(Self::Also(0o664)),
                Ok(mode) => Some(Self::Exactly(mode & 0o666)),
                Err(_) => is_group().then_some(Self::Also(0o660)),
            },
        }
    }

    /// Returns the permissions of what has these: nobody may write to what its owner may not, and a
    /// directory is entered by whoever reads it, and passes its group on.
    fn apply(self, before: u32, is_directory: bool) -> u32 {
        let (Self::Also(mut more) | Self::Exactly(mut more)) = self;
        if before & 0o200 == 0 {
            more &= !0o222;
        }
        if before & 0o100 != 0 {
            more |= (more & 0o444) >> 2;
        }
        let mut mode = match self {
            Self::Also(_) => before | more,
            Self::Exactly(_) => (before & !0o777) | more,
        };
        if is_directory {
            mode |= (mode & 0o444) >> 2;
            if mode & 0o060 != 0 {
                mode |= 0o2000;
            }
        }
        mode
    }
}

/// Shares what was written to a repository, and the directories that it is in; nothing that a link there leads
/// to.
pub(super) fn share(repository: &gix::Repository, path: &Path) {
    let Some(sharing) = Sharing::of(repository) else {
        return;
    };
    let top = repository.common_dir();
    let inside = path
        .ancestors()
        .take_while(|it| it.starts_with(top) && *it != top);
    let inside: Vec<_> = inside.collect();
    for path in inside.into_iter().rev() {
        let facts = fs::symlink_metadata(path).ok();
        let Some(facts) = facts.filter(|facts| !facts.is_symlink()) else {
            return;
        };
        let before = facts.permissions().mode() & 0o7777;
        let mode = sharing.apply(before, facts.is_dir());
        if mode != before {
            // What is somebody else's is theirs to share.
            let _ = fs::set_permissions(path, Permissions::from_mode(mode));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_that_git_gives() {
        for (sharing, before, is_directory, after) in [
            (Sharing::Also(0o660), 0o644, false, 0o664),
            (Sharing::Also(0o660), 0o444, false, 0o444),
            (Sharing::Also(0o660), 0o755, true, 0o2775),
            (Sharing::Also(0o664), 0o600, false, 0o664),
            (Sharing::Also(0o664), 0o700, true, 0o2775),
            (Sharing::Exactly(0o640), 0o644, false, 0o640),
            (Sharing::Exactly(0o660), 0o444, false, 0o440),
            (Sharing::Exactly(0o640), 0o755, true, 0o2750),
            (Sharing::Exactly(0o600), 0o755, true, 0o700),
        ] {
            assert_eq!(sharing.apply(before, is_directory), after, "{before:o}");
        }
    }
}

//! Statements that travel: to and from remotes, and files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    hash::{BuildHasher as _, RandomState},
    io::{self, Write as _},
    path::Path,
    thread,
    time::Duration,
};

use notme_attest::{
    Bundle, Predicate, make,
    predicate::Succession,
    rosary::{self, HandoffFile},
    store::{About, Excess, FileName, Files, Kept, Merged, Place, Signed, StoreError, Unfit},
    verify::{Asked, Attestations},
};
use notme_core::{dsse::Envelope, hex, json::Object, key::sha256, statement::Statement};
use notme_verifier::{Code, Judge, Verdict, report::escape, repository::ObjectId};

use super::{Archive, Author, bundles_in, is_named, not_made, read_named, record_of, refused};
use crate::{
    arguments::attest::{
        AttestDrop, AttestImport, AttestPush, AttestRemote, AttestRosaryHash, RosaryKind,
    },
    failure::{Exit, Failure, Outcome},
    git::{self, GitError, Listed, Remote},
    home::Home,
    judging::{Grounds, now},
};

/// The longest file of bundles.
const FILE_MAX: u64 = 256 * 1024 * 1024;
/// What becomes of the rest when a statement is refused.
const AS_THEY_ARE: &str = "nothing was kept; `--unjudged` keeps statements as they are";
/// How many files are named when a push is refused; the rest is counted.
const TOLD_MAX: usize = 20;
/// Likewise of commits.
const COMMITS_TOLD_MAX: usize = 3;
/// How often a push that lost a race is tried, and how long anybody waits before the second time, at
/// most; twice as long each time after.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(20);

pub(super) fn fetch(arguments: &AttestRemote) -> Outcome {
    let archive = Archive::open()?;
    let remote = Remote::named(&remote(arguments, "fetch", git::fetch_remote)?);
    let (merged, _) = take(&archive, &remote, Excess::Refused)?;
    if merged.theirs.is_empty() {
        writeln!(
            io::stderr(),
            "note: `{}` has no attestations",
            escape(&remote.shown())
        )?;
    }
    Ok(Exit::Yes)
}

pub(super) fn push(home: &Home, arguments: &AttestPush) -> Result<(), Failure> {
    let remote = remote(&arguments.remote, "push", git::push_remote)?;
    let archive = Archive::open()?;
    let targets = targets(&archive, &remote)?;
    if !arguments.replace {
        let along = arguments.if_published.then_some(&[][..]);
        return each(&targets, |target| push_to(home, &archive, target, along));
    }
    each(&targets, |target| replace(home, &archive, target))?;
    match targets.iter().any(Remote::is_for_pushes) {
        // It may be the same repository by another way: what was there is not kept for that.
        true => look(&archive, &Remote::named(&remote)).map(|_| ()),
        false => Ok(()),
    }
}

/// Returns where pushes to a remote go; what is already there is taken from there. What was seen where
/// they went before is forgotten.
fn targets(archive: &Archive, remote: &str) -> Result<Vec<Remote>, Failure> {
    let targets = git::push_targets(remote)?;
    let names: Vec<_> = targets.iter().map(Remote::name).collect();
    archive.store.forget_pushed_but(remote, &names)?;
    Ok(targets)
}

/// Pushes to each, whatever becomes of the others, and returns the first failure.
fn each(targets: &[Remote], push: impl Fn(&Remote) -> Result<(), Failure>) -> Result<(), Failure> {
    let outcomes: Vec<_> = targets.iter().map(push).collect();
    outcomes.into_iter().collect()
}

/// Puts what is here in the place of what a remote has, after taking that; if nothing else came there
/// meanwhile.
fn replace(home: &Home, archive: &Archive, remote: &Remote) -> Result<(), Failure> {
    let (merged, tips) = take(archive, remote, Excess::LeftOut)?;
    let unlike = archive.store.unlike(&merged)?;
    if unlike.is_empty() {
        return Ok(());
    }
    check_fit(archive, &merged)?;
    let unpublished = unpublished(home, archive, (remote, tips), &merged)?;
    git::push_instead(remote, &unlike)?;
    tell_sent(unpublished.as_deref())?;
    let shelves = unlike.iter().filter_map(|it| Some((it.shelf, it.ours?)));
    let shelves: Vec<_> = shelves.collect();
    Ok(archive.store.pushed(remote.name(), &shelves, now())?)
}

/// Takes statements about a commit out again.
pub(super) fn drop(arguments: &AttestDrop) -> Outcome {
    let archive = Archive::open()?;
    let places = match archive.commits(std::slice::from_ref(&arguments.revision)) {
        Ok(commits) => commits
            .iter()
            .flat_map(|commit| [Place::commit(&commit.id), Place::tree(&commit.tree)])
            .collect(),
        // What is about a commit that is gone goes by its id.
        Err(_) if ObjectId::from_hex(arguments.revision.as_bytes()).is_ok() => {
            vec![Place::commit(&arguments.revision)]
        }
        Err(failure) => return Err(failure),
    };
    let mut kept = Vec::new();
    for place in places {
        kept.extend(archive.store.read(&place)?);
    }
    let records = kept.iter().filter_map(record_of);
    let activities: BTreeSet<_> = records.map(|record| record.activity.id).collect();
    for activity in activities {
        kept.extend(archive.store.read(&Place::activity(&activity))?);
    }
    let mut files = BTreeMap::new();
    for statement in &arguments.statement {
        let mut is_any = false;
        for kept in kept.iter().filter(|kept| is_named(kept, statement)) {
            is_any = true;
            let is_said = kept.name.to_string() != *statement;
            let said: &mut Option<String> = files.entry(kept.name.clone()).or_default();
            *said = said.take().or_else(|| is_said.then(|| statement.clone()));
        }
        // What is about no commit has to be named by its file.
        if !is_any && let Some(file) = FileName::read(statement.as_bytes()) {
            let file = Files::from([(file, None)]);
            is_any = archive.store.find_files(&file)?.is_with_no_commit();
            files.extend(file.into_iter().filter(|_| is_any));
        }
        if !is_any {
            let error = format!("nothing about `{}` is `{statement}`", arguments.revision);
            return Err(Failure::no(error).hint("`notme attest show` prints digests"));
        }
    }
    let found = archive.store.find_files(&files)?;
    if !arguments.force && archive.store.were_pushed(&found)? {
        let error = "a remote has it: whoever fetched from there has it, too";
        let hint = "`--force` drops it here, and `notme attest push --replace` there";
        return Err(Failure::no(error).hint(hint));
    }
    archive.store.drop_files(&files, &arguments.reason, now())?;
    for file in files.keys() {
        writeln!(io::stdout(), "{file}")?;
    }
    Ok(Exit::Yes)
}

/// Sends what a remote lacks, as far as is known without asking it, along with what is pushed there; if
/// nothing of it is about commits that the remote is not known to have then.
pub(crate) fn push_along(home: &Home, remote: &str, pushed: &[ObjectId]) -> Result<(), Failure> {
    let archive = Archive::open()?;
    each(&targets(&archive, remote)?, |target| {
        settle(&archive, target)?;
        match archive.store.ahead_of(target.name())?.is_empty() {
            true => Ok(()),
            false => push_to(home, &archive, target, Some(pushed)),
        }
    })
}

/// Sends what a remote lacks, after taking what it has. Where it goes along with something, and nobody asked
/// for it by name, nothing of it is about commits that do not.
fn push_to(
    home: &Home,
    archive: &Archive,
    remote: &Remote,
    along: Option<&[ObjectId]>,
) -> Result<(), Failure> {
    let mut last = None;
    for attempt in 0..TRIES {
        if let Some(before) = attempt.checked_sub(1) {
            // Those who met would meet again, if they waited for the same time.
            let part = RandomState::new().hash_one(attempt) % 1000;
            thread::sleep(PAUSE * (1 << before) * u32::try_from(part)? / 1000);
        }
        let (merged, mut tips) = take(archive, remote, Excess::Refused)?;
        if !merged.is_whole() {
            let remote = remote.shown();
            let error = format!("`{remote}` has what is left out here, so nothing was pushed");
            return Err(Failure::no(error).hint("`notme attest push --replace` takes it out there"));
        }
        let ahead = archive.store.ahead_of(remote.name())?;
        if ahead.is_empty() {
            return Ok(());
        }
        check_fit(archive, &merged)?;
        tips.extend(along.into_iter().flatten());
        let unpublished = unpublished(home, archive, (remote, tips), &merged)?;
        if let (Some(unpublished), Some(_)) = (&unpublished, along) {
            let error = format!("nothing was pushed: {unpublished}");
            let hint = "`notme attest push REMOTE` sends them all the same";
            return Err(Failure::no(error).hint(hint));
        }
        // Without force: what somebody else sent meanwhile is taken first.
        match git::push(remote, &ahead) {
            Ok(()) => {
                tell_sent(unpublished.as_deref())?;
                return Ok(archive.store.pushed(remote.name(), &ahead, now())?);
            }
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// Says how many of the statements that a remote lacks are about commits that it is not known to have, and
/// which these are; `None` where there are none. It has what it named itself, what was seen there before, and
/// what had another put in its place that it has, as somebody trusted says, if that lives on nowhere here.
fn unpublished(
    home: &Home,
    archive: &Archive,
    (remote, tips): (&Remote, Vec<ObjectId>),
    merged: &Merged,
) -> Result<Option<String>, Failure> {
    let about = archive.store.about(merged)?;
    let id = |name: &String| ObjectId::from_hex(name.as_bytes()).ok();
    let mut unknown: BTreeSet<_> = about.iter().flat_map(|it| &it.commits).collect();
    let ids = unknown.iter().filter_map(|name| id(name)).collect();
    let unreached = archive.repository.unreached(ids, &tips)?;
    unknown.retain(|name| id(name).is_none_or(|id| unreached.contains(&id)));
    let (mut before, mut known) = (BTreeMap::<_, Vec<_>>::new(), BTreeSet::new());
    for Succession { from, to } in about.iter().flat_map(|it| &it.succeeds) {
        before.entry(to).or_default().push(from);
        known.extend((!unknown.contains(to)).then_some(to));
    }
    if !known.is_empty() && !unknown.is_empty() {
        let ids = unknown.iter().filter_map(|name| id(name)).collect();
        let gone = archive.repository.unreached(ids, &git::all_tips()?)?;
        let grounds = Grounds::load(home, None, None)?;
        let judge = grounds.judge();
        let attestations = Attestations::new(archive.store.clone(), &judge, Asked::default());
        while let Some(to) = known.pop_first() {
            let said = attestations.predecessors(to)?;
            let from = before.remove(to).unwrap_or_default().into_iter();
            let from = from.filter(|from| {
                said.contains(*from) && id(from).is_none_or(|id| gone.contains(&id))
            });
            known.extend(from.filter(|from| unknown.remove(from)));
        }
    }
    let is_unknown = |it: &&About| it.commits.iter().any(|id| unknown.contains(id));
    Ok(match about.iter().filter(is_unknown).count() {
        0 => None,
        count => Some(format!(
            "{count} statements are about commits that `{}` is not known to have: {}",
            remote.shown(),
            few(unknown.iter(), COMMITS_TOLD_MAX)
        )),
    })
}

/// Says what was sent that tells of more than is there.
fn tell_sent(unpublished: Option<&str>) -> io::Result<()> {
    match unpublished {
        Some(it) => writeln!(io::stderr(), "note: of what was sent, {}", escape(it)),
        None => Ok(()),
    }
}

/// Names a few, and counts the rest.
fn few(all: impl ExactSizeIterator<Item: Display>, at_most: usize) -> String {
    let more = all.len().saturating_sub(at_most);
    let named = all.take(at_most).map(|it| format!("`{it}`"));
    let more = (more > 0).then(|| format!("and {more} more"));
    named.chain(more).collect::<Vec<_>>().join(", ")
}

/// Refuses to send what nobody takes, so that all others could push no more: what was kept unjudged, and
/// what was kept before its origins were looked for.
fn check_fit(archive: &Archive, merged: &Merged) -> Result<(), Failure> {
    let mut unfit = archive.store.unfit(merged)?;
    let discloses = unfit.values().any(|it| it.discloses);
    unfit.retain(|_, it| it.discloses == discloses);
    let Some((_, Unfit { commit, .. })) = unfit.first_key_value() else {
        return Ok(());
    };
    let names = few(unfit.keys(), TOLD_MAX);
    let error = match discloses {
        true => format!("origins of what an agent read are listed in {names}"),
        false => format!(
            "nobody takes {names}: it is not signed by the key of its own certificate, has too much beside it, or lies where it does not belong"
        ),
    };
    let there = unfit.iter().filter(|(_, it)| it.commit == *commit);
    let there = there.take(TOLD_MAX).map(|(file, _)| file.to_string());
    let there: Vec<_> = there.collect();
    let (commit, files) = (commit.as_deref().unwrap_or("HEAD"), there.join(" "));
    let hint =
        format!("`notme attest drop {commit} {files} --reason TEXT` takes out what lies there");
    Err(Failure::no(format!("nothing was pushed: {error}")).hint(hint))
}

/// Fetches what a remote has, and takes it. Returns what its other refs name, too.
fn take(
    archive: &Archive,
    remote: &Remote,
    excess: Excess,
) -> Result<(Merged, Vec<ObjectId>), Failure> {
    let before = archive.store.tips()?;
    let tips = look(archive, remote)?;
    // What is here is only ever added to, by whoever is beside us.
    if let Some((shelf, was)) = archive.store.lost_since(&before)? {
        let reference = shelf.reference();
        let remote = remote.shown();
        let error = format!("while `{remote}` was asked, `{reference}` lost what it had");
        let hint = format!("`git update-ref {reference} {was}` puts it back");
        return Err(Failure::from(error).hint(hint));
    }
    let check = |of, without| git::check_objects(of, without).map_err(|error| error.to_string());
    let merged = archive.store.merge(remote.name(), now(), excess, check);
    let merged = merged.map_err(|error| match error {
        StoreError::TooMany(_) => Failure::from(error).hint(
            "whoever has what counts runs `notme attest push --replace`, which leaves the rest out there",
        ),
        error => error.into(),
    })?;
    let mut talk = io::stderr().lock();
    if !merged.added.is_empty() {
        writeln!(talk, "{} statements were new", merged.added.len())?;
    }
    if merged.ignored > 0 {
        writeln!(
            talk,
            "note: {} files of the remote are no signed statements, not what their names say, or where they do not belong; left out",
            merged.ignored
        )?;
    }
    for (shelf, (first, count)) in &merged.unlooked {
        let (reference, first) = (shelf.reference(), first.trim_end_matches('/'));
        writeln!(
            talk,
            "note: `{reference}` of the remote has {count} directories of more files than anybody looks at, `{first}` first; \
             left out, with whatever statements are there: whoever made one pushes it again"
        )?;
    }
    for (shelf, problem) in &merged.unsound {
        writeln!(
            talk,
            "note: the history of `{}` of the remote was left out, and only its files were taken: {}; `notme attest push --replace` puts it right there",
            shelf.reference(),
            escape(problem)
        )?;
    }
    if !merged.dropped.is_empty() {
        writeln!(
            talk,
            "note: the remote has {} files that were dropped here; left out",
            merged.dropped.len()
        )?;
    }
    Ok((merged, tips))
}

/// Fetches what a remote has, and forgets what it has no more. Returns what its other refs name, or were seen
/// to name before.
fn look(archive: &Archive, remote: &Remote) -> Result<Vec<ObjectId>, Failure> {
    let seen = settle(archive, remote)?;
    let Listed { shelves, mut tips } = git::listed(remote)?;
    archive.store.forget_others(remote.name(), &shelves)?;
    git::fetch(remote, &shelves)?;
    if let Some(Seen { url, mut elsewhere }) = seen {
        let before = elsewhere.len();
        elsewhere.retain(|id| !tips.contains(id));
        if elsewhere.len() < before {
            archive.store.note_remote(remote.name(), &url, &elsewhere)?;
        }
        let seen = git::remote_tips(remote.name())?;
        tips.extend(seen.into_iter().filter(|id| !elsewhere.contains(id)));
    }
    Ok(tips)
}

/// What is known of a remote that is fetched from.
struct Seen {
    url: String,
    /// What its remote-tracking branches lead to, and may be elsewhere only.
    elsewhere: BTreeSet<ObjectId>,
}

/// Forgets what was seen of a remote, where that is not known to have been at its URL. What was fetched says
/// nothing of a place of its own that pushes go to: of that, nothing is known.
fn settle(archive: &Archive, remote: &Remote) -> Result<Option<Seen>, Failure> {
    if remote.is_for_pushes() {
        return Ok(None);
    }
    let url = git::fetch_url(remote)?;
    let elsewhere = match archive.store.elsewhere(remote.name(), &url) {
        Some(elsewhere) => elsewhere,
        None => {
            archive.store.forget_others(remote.name(), &[])?;
            let elsewhere = git::remote_tips(remote.name())?;
            let elsewhere = elsewhere.into_iter().collect();
            archive.store.note_remote(remote.name(), &url, &elsewhere)?;
            elsewhere
        }
    };
    Ok(Some(Seen { url, elsewhere }))
}

/// Returns the remote that is named, or the one that git would take.
fn remote(
    arguments: &AttestRemote,
    command: &str,
    default: impl Fn() -> Result<Option<String>, GitError>,
) -> Result<String, Failure> {
    if let Some(remote) = &arguments.remote {
        return Ok(remote.clone());
    }
    default()?.ok_or_else(|| {
        let hint = format!("name one: `notme attest {command} REMOTE`");
        Failure::usage("there is no remote").hint(hint)
    })
}

pub(super) fn import(home: &Home, arguments: &AttestImport) -> Outcome {
    if let Some(directory) = &arguments.rosary {
        return import_rosary(home, arguments, directory);
    }
    if arguments.file.is_empty() {
        return Err(Failure::usage("no file was named").hint("`-` reads stdin"));
    }
    let archive = Archive::open()?;
    let grounds = Grounds::load(home, None, None)?;
    let judge = grounds.judge();
    let judge = (!arguments.unjudged).then_some(&judge);
    let mut bundles = Vec::new();
    for file in &arguments.file {
        let content = read_named(file, FILE_MAX)?;
        for bundle in bundles_in(file, &content)? {
            bundles.push(keepable((judge, file), bundle.to_vec())?);
        }
    }
    archive.store.write(&bundles, now())?;
    let (mut names, mut held) = (BTreeSet::new(), BTreeSet::new());
    for (content, _) in &bundles {
        let name = FileName::of(content);
        // What is judged was looked at so already.
        if arguments.unjudged && Signed::read(content).is_none() {
            held.insert(name.clone());
        }
        names.insert(name);
    }
    let mut talk = io::stderr().lock();
    writeln!(talk, "{} statements were kept", names.len())?;
    if !held.is_empty() {
        writeln!(
            talk,
            "note: nobody else takes {} of them; while they are here, `notme attest push` sends nothing",
            held.len()
        )?;
    }
    Ok(Exit::Yes)
}

/// Finds where a bundle belongs, by what it speaks of. Its signature has to be good now, if somebody
/// judges it; the rest, such as the chain that it is part of, is judged when somebody asks.
fn keepable(
    (judge, file): (Option<&Judge<'_>>, &Path),
    content: Vec<u8>,
) -> Result<(Vec<u8>, Vec<Place>), Failure> {
    let (bundle, content) = read((content, file), judge.is_some())?;
    let statement = Statement::parse(bundle.envelope().payload())
        .map_err(|error| refused(file, Code::StatementMalformed, &error))?;
    let kept = Kept::nowhere(content);
    kept.check_public()
        .map_err(|error| refused(file, Code::OriginsDisclosed, &error))?;
    if let Some(judge) = judge {
        let predicate = Predicate::read(&statement).ok();
        let judgement = judge.judge_envelope(
            &kept.content,
            bundle.envelope(),
            bundle.certificates().to_vec(),
            bundle.timestamps().to_vec(),
            predicate.and_then(|it| it.stated_at()),
        );
        if let Some(code) = judgement.verdict().code() {
            let detail = judgement.detail().unwrap_or("its signature is not good");
            let error = format!("{}: {code}: {detail}", bundle.payload_digest());
            return Err(match judgement.verdict() {
                Verdict::Undecided(_) => Failure::of(error, 3),
                Verdict::Accepted | Verdict::Rejected(_) => Failure::no(error),
            }
            .hint(AS_THEY_ARE));
        }
        if Signed::read(&kept.content).is_none() {
            let error = "it has more beside it than anybody takes";
            return Err(refused(file, Code::EnvelopeMalformed, &error).hint(AS_THEY_ARE));
        }
    }
    let places = Place::of(&statement);
    match places.is_empty() {
        true => Err(Failure::usage(
            "a bundle speaks of no commit and of no activity",
        )),
        false => Ok((kept.content, places)),
    }
}

/// Reads a bundle, or an envelope without one, as the rosary orchestrator writes them: nothing
/// says whose key signed that, so that it can only be kept unjudged.
fn read((content, file): (Vec<u8>, &Path), is_judged: bool) -> Result<(Bundle, Vec<u8>), Failure> {
    match Envelope::from_json(&content) {
        Ok(envelope) if !is_judged => {
            let bundle = Bundle::new(envelope, Vec::new(), Vec::new());
            let content = bundle.to_json()?;
            Ok((bundle, content))
        }
        Ok(_) => Err(Failure::no("an envelope has no certificate")
            .hint("`--unjudged` keeps it; no verdict accepts it")),
        Err(_) => match Bundle::from_json(&content) {
            Ok(bundle) => Ok((bundle, content)),
            Err(error) => Err(refused(file, Code::EnvelopeMalformed, &error)),
        },
    }
}

/// Prints what the orchestrator would compute.
pub(super) fn rosary_hash(arguments: &AttestRosaryHash) -> Outcome {
    let name = arguments.file.display().to_string();
    let content = read_named(&arguments.file, rosary::HANDOFF_MAX)?;
    let hash = match arguments.kind {
        RosaryKind::WorkItem => rosary::WorkItem::from_json(&name, &content)?.content_hash(),
        RosaryKind::Handoff => rosary::Handoff::from_json(&name, &content)?.rosary_chain_hash(),
    };
    writeln!(
        io::stderr(),
        "note: the hash is ambiguous: different ones can have the same; nothing of notme's trusts it"
    )?;
    writeln!(io::stdout(), "{hash}")?;
    Ok(Exit::Yes)
}

/// States the handoffs of a directory as what they are: somebody else's, with known weaknesses.
fn import_rosary(home: &Home, arguments: &AttestImport, directory: &Path) -> Outcome {
    let archive = Archive::open()?;
    let revisions: Vec<_> = match &*arguments.file {
        [] => vec!["HEAD".to_owned()],
        named => named
            .iter()
            .map(|revision| revision.display().to_string())
            .collect(),
    };
    let commits = archive.commits(&revisions)?;
    let ids: Vec<_> = commits.iter().map(|commit| &*commit.id).collect();
    let imported = rosary::import(directory, &ids)?;
    let mut talk = io::stderr().lock();
    let of_each = imported.files.iter().flat_map(|it| &it.weaknesses);
    for weakness in imported.weaknesses.iter().chain(of_each) {
        writeln!(talk, "note: {}", escape(weakness))?;
    }
    let mut author = Author::new(home, &archive, arguments.agent.as_ref())?;
    for file in &imported.files {
        let HandoffFile {
            name,
            content,
            handoff,
            weaknesses,
        } = file;
        let mut predicate = Object::new();
        let mut put = |member: &str, value: String| {
            predicate.insert(member.to_owned(), value.into());
        };
        let hash = hex::encode(&sha256(content));
        put("handoffDocument", name.clone());
        put("documentHash", format!("sha256:{hash}"));
        put("chainHash", handoff.rosary_chain_hash());
        if let Some(previous) = &handoff.previous_chain_hash {
            put("previousChainHash", previous.clone());
        }
        put("fromPhase", handoff.phase.to_string());
        let weaknesses = [&*imported.weaknesses, weaknesses].concat();
        predicate.insert("weaknesses".to_owned(), weaknesses.into());
        let document = Some((name.as_str(), hash.as_str()));
        let statement = make::handoff(predicate, document, &commits).map_err(not_made)?;
        author.sign(&statement)?;
    }
    author.keep()
}

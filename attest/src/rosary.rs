//! What the rosary orchestrator computes and leaves behind, for interchange.
//!
//! Its hashes join texts of any length without saying where one ends, so that different records
//! have the same hash. They are computed to the byte, and trusted for nothing.

use std::{fs, io, path::Path};

use notme_core::{
    hex,
    json::{self, JsonError, Object},
    key::sha256,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The longest handoff or work item that is read, in bytes.
pub const HANDOFF_MAX: u64 = 1024 * 1024;
/// The version that is read.
const SCHEMA: &str = "2";
/// The most phases of a pipeline that are read.
const PHASES_MAX: u32 = 1000;

/// A handoff as rosary writes it, schema 2. What its hash does not cover is kept as it stands.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Handoff {
    /// The number of the phase.
    pub phase: u32,
    /// Who hands over.
    pub from_agent: String,
    /// The work item.
    pub bead_id: String,
    /// What was done, in words.
    pub summary: String,
    /// Paths.
    pub files_changed: Vec<String>,
    /// Commits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commit_shas: Vec<String>,
    /// The hash of the handoff before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_chain_hash: Option<String>,
    /// What else stands there.
    #[serde(flatten)]
    pub more: Object,
}

impl Handoff {
    /// Reads one, of the version whose hash this is.
    ///
    /// # Errors
    /// [`ImportError`], under the name that the file has.
    pub fn from_json(name: &str, content: &[u8]) -> Result<Self, ImportError> {
        let handoff: Self = read(name, content)?;
        let schema = handoff.more.get("schema_version");
        match schema.is_some_and(|schema| schema == SCHEMA) {
            true => Ok(handoff),
            false => Err(ImportError::Schema(name.to_owned())),
        }
    }

    /// Tells what it says beyond what its hash covers, and what a reader may act on.
    fn uncovered(&self, name: &str) -> Vec<String> {
        let stated = |member: &str| self.more.get(member).filter(|it| !it.is_null());
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let mut told = Vec::new();
        if let Some(verdict) = stated("verdict") {
            let decision = text(verdict.get("decision").unwrap_or(verdict));
            let says = match &*decision {
                "reject" => "REJECTS the work".to_owned(),
                decision => format!("has the verdict `{decision}`"),
            };
            told.push(format!("`{name}` {says}, which its hash does not cover"));
        }
        if let Some(receiver) = stated("to_agent").map(text) {
            let said = format!("`{name}` is for `{receiver}`, which its hash does not cover");
            told.push(said);
        }
        told
    }

    /// Computes `chain_hash` of schema 2, in hex. Ambiguous: nothing marks where files end and
    /// commits begin, and neither verdict nor provider nor receiver are covered.
    pub fn rosary_chain_hash(&self) -> String {
        let mut text = self.phase.to_le_bytes().to_vec();
        let fields = [&self.from_agent, &self.bead_id, &self.summary].into_iter();
        for field in fields.chain(&self.files_changed).chain(&self.commit_shas) {
            text.extend_from_slice(field.as_bytes());
            text.push(0);
        }
        text.extend(self.previous_chain_hash.iter().flat_map(|it| it.bytes()));
        hex::encode(&sha256(&text))
    }
}

/// A work item, as far as its hash covers it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct WorkItem {
    /// Its title.
    pub title: String,
    /// Its text.
    pub description: String,
    /// `task`, `review` and others.
    pub issue_type: String,
    /// Its priority.
    pub priority: u8,
    /// When it is done.
    #[serde(default)]
    pub acceptance_criteria: Vec<Criterion>,
}

/// A condition under which a work item is done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Criterion {
    /// In words.
    pub description: String,
    /// What to run.
    #[serde(default)]
    pub command: Option<String>,
    /// What to reach.
    #[serde(default)]
    pub threshold: Option<String>,
}

impl WorkItem {
    /// Reads one. Members that its hash does not cover are not looked at.
    ///
    /// # Errors
    /// [`ImportError`], under the name that the file has.
    pub fn from_json(name: &str, content: &[u8]) -> Result<Self, ImportError> {
        read(name, content)
    }

    /// Computes `content_hash`, in hex. Ambiguous: the parts of a criterion are joined bare.
    pub fn content_hash(&self) -> String {
        let mut text = Vec::new();
        for field in [&self.title, &self.description, &self.issue_type] {
            text.extend_from_slice(field.as_bytes());
            text.push(0);
        }
        text.push(self.priority);
        for criterion in &self.acceptance_criteria {
            text.extend_from_slice(criterion.description.as_bytes());
            for part in [&criterion.command, &criterion.threshold] {
                text.extend(part.iter().flat_map(|part| part.bytes()));
            }
            text.push(0);
        }
        hex::encode(&sha256(&text))
    }
}

/// The handoffs of a directory, and what is known to be weak about them.
#[derive(Clone, Debug)]
pub struct Imported {
    /// In the order of their phases.
    pub files: Vec<HandoffFile>,
    /// What a reader has to know before relying on any of it.
    pub weaknesses: Vec<String>,
}

/// A handoff as it lay there.
#[derive(Clone, Debug)]
pub struct HandoffFile {
    /// The name of the file.
    pub name: String,
    /// Its bytes, which a statement's digest stands for.
    pub content: Vec<u8>,
    /// What they say.
    pub handoff: Handoff,
    /// What a reader has to know of this one besides.
    pub weaknesses: Vec<String>,
}

/// Reads `.rsry-handoff-<phase>.json`, from phase 0 on, for statements about some commits.
///
/// # Errors
/// [`ImportError`]: a broken link, or a phase that is gone, is refused, where the orchestrator
/// cuts the chain off.
pub fn import(directory: &Path, commits: &[&str]) -> Result<Imported, ImportError> {
    let mut files: Vec<HandoffFile> = Vec::new();
    let of_all = vec![
        "the files lay where the agent could write them, unsigned".to_owned(),
        "their hash covers neither verdict, provider, receiver nor time, and different records \
         can have the same one"
            .to_owned(),
    ];
    for phase in 0..=PHASES_MAX {
        let name = format!(".rsry-handoff-{phase}.json");
        let unreadable = |source| ImportError::File(name.clone(), source);
        let path = directory.join(&name);
        let content = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(unreadable(error)),
            Ok(_) if phase == PHASES_MAX => return Err(ImportError::TooMany),
            // A pipe would keep us waiting.
            Ok(facts) if !facts.is_file() => {
                return Err(unreadable(io::Error::other("it is no regular file")));
            }
            Ok(facts) if facts.len() > HANDOFF_MAX => {
                return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
            }
            Ok(_) => fs::read(&path).map_err(unreadable)?,
        };
        let handoff = Handoff::from_json(&name, &content)?;
        if handoff.phase != phase {
            return Err(ImportError::Phase(name, handoff.phase));
        }
        let before = files.last().map(|it| it.handoff.rosary_chain_hash());
        let mut weaknesses = Vec::new();
        match (&handoff.previous_chain_hash, before) {
            (None, None) => {}
            (Some(stated), Some(before)) if *stated == before => {}
            (None, Some(_)) => weaknesses.push(format!("`{name}` names no handoff before it")),
            (Some(_), _) => return Err(ImportError::Link(name)),
        }
        if handoff.commit_shas.is_empty() {
            weaknesses.push(format!("`{name}` names no commits"));
        }
        let named = handoff.commit_shas.iter();
        let mut others = named.filter(|named| !commits.contains(&&***named));
        if let Some(first) = others.next() {
            let more = match others.count() {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            weaknesses.push(format!(
                "`{name}` names commit `{first}`{more}, which the statement is not about"
            ));
        }
        weaknesses.extend(handoff.uncovered(&name));
        files.push(HandoffFile {
            name,
            content,
            handoff,
            weaknesses,
        });
    }
    if let Some(later) = later_phase(directory, files.len())? {
        return Err(ImportError::Gap(files.len(), later));
    }
    match files.is_empty() {
        true => Err(ImportError::Nothing),
        false => Ok(Imported {
            files,
            weaknesses: of_all,
        }),
    }
}

fn read<T: DeserializeOwned>(name: &str, content: &[u8]) -> Result<T, ImportError> {
    let malformed = |error: JsonError| ImportError::Malformed(name.to_owned(), error);
    let object = json::parse_object(content);
    object
        .and_then(|object| json::read_object(&object))
        .map_err(malformed)
}

/// Finds a handoff of a phase that comes after the one that is missing.
fn later_phase(directory: &Path, missing: usize) -> Result<Option<usize>, ImportError> {
    let unreadable = |source| ImportError::File(directory.display().to_string(), source);
    let mut later: Option<usize> = None;
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let phase = name.to_str().and_then(|name| {
            let phase = name.strip_prefix(".rsry-handoff-")?.strip_suffix(".json")?;
            phase.parse().ok()
        });
        if let Some(phase) = phase.filter(|phase| missing > 0 && *phase > missing) {
            later = Some(later.map_or(phase, |it| it.min(phase)));
        }
    }
    Ok(later)
}

/// A directory holds no chain of handoffs, or a file not what it should.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// No first handoff: a chain without its beginning is none.
    #[error("there is no `.rsry-handoff-0.json`")]
    Nothing,
    /// A file that cannot be read.
    #[error("could not read `{0}`")]
    File(String, #[source] io::Error),
    /// A file that is not what it should be.
    #[error("`{0}` is none of rosary's")]
    Malformed(String, #[source] JsonError),
    /// A file under another phase's name.
    #[error("`{0}` says that it is of phase {1}")]
    Phase(String, u32),
    /// No version, or one whose hash is made otherwise.
    #[error("`{0}` does not say that it is of schema {SCHEMA}")]
    Schema(String),
    /// A phase that is gone, and one that is there.
    #[error("there is no `.rsry-handoff-{0}.json`, but one of phase {1}")]
    Gap(usize, usize),
    /// More than are read.
    #[error("there are more than {PHASES_MAX} handoffs")]
    TooMany,
    /// A link that does not lead to the file before.
    #[error("`{0}` follows another handoff than the one that is there")]
    Link(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handoff(
        phase: u32,
        agent: &str,
        summary: &str,
        files: &[&str],
        commits: &[&str],
    ) -> Handoff {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Handoff {
            phase,
            from_agent: agent.to_owned(),
            bead_id: "rosary-abc".to_owned(),
            summary: summary.to_owned(),
            files_changed: owned(files),
            commit_shas: owned(commits),
            previous_chain_hash: None,
            more: Object::from_iter([("schema_version".to_owned(), SCHEMA.into())]),
        }
    }

    /// Vectors V1 to V3, made with the orchestrator's own function; `testdata/SOURCES.md`.
    #[test]
    fn chain_hash_is_the_orchestrators_to_the_byte() {
        let files = ["src/reconcile.rs", "src/reconcile_test.rs"];
        let summary = "fix(reconcile): handle timeout=0 edge case";
        let v1 = handoff(0, "dev-agent", summary, &files, &["abc123"]).rosary_chain_hash();
        assert_eq!(
            v1,
            "efe30513ada66d52cbf18c3c8e1858a7568d7720f90b2234a7a1a5cc45e2c736"
        );
        let commits = ["d6cd1e2bd19e03a81132a23b2025920577f84e37", &"a".repeat(40)];
        let summary = "review: timeout fix ok \u{2014} approve";
        let mut second = handoff(1, "staging-agent", summary, &files[..1], &commits);
        second.previous_chain_hash = Some(v1);
        let v2 = second.rosary_chain_hash();
        assert_eq!(
            v2,
            "ea6aea9e88feef12ffa335e59f92d88e286712db0f880520594a308112c27c27"
        );
        let mut third = handoff(2, "prod-agent", "", &[], &[]);
        third.previous_chain_hash = Some(v2);
        assert_eq!(
            third.rosary_chain_hash(),
            "771e3bb5b0cdbac10dbe235f095122a0860ddd59094fa57acf5946b97bde413d"
        );
    }

    #[test]
    fn chain_hash_collides_which_is_why_nothing_trusts_it() {
        let hash = |files: &[&str], commits: &[&str], summary: &str| {
            handoff(0, "a", summary, files, commits).rosary_chain_hash()
        };
        assert_eq!(
            hash(&["f1", "deadbeef"], &[], "s"),
            hash(&["f1"], &["deadbeef"], "s")
        );
        assert_eq!(hash(&[], &[], "s\0f1"), hash(&["f1"], &[], "s"));
    }

    #[test]
    fn content_hash_is_the_orchestrators_to_the_byte() {
        let criterion =
            |description: &str, command: Option<&str>, threshold: Option<&str>| Criterion {
                description: description.to_owned(),
                command: command.map(str::to_owned),
                threshold: threshold.map(str::to_owned),
            };
        let item = |title: &str, description: &str, kind: &str, priority, criteria| WorkItem {
            title: title.to_owned(),
            description: description.to_owned(),
            issue_type: kind.to_owned(),
            priority,
            acceptance_criteria: criteria,
        };
        assert_eq!(
            item("[ADR-001] Test", "body", "task", 1, vec![]).content_hash(),
            "3a3ce6d1d360a3d5cfd56f79ecd4224ab8f6cd3938f5eb6b2c7876da768e381f"
        );
        let rate = "Cache hit rate > 90%";
        let criteria = vec![
            criterion(rate, None, Some("> 90%")),
            criterion("`cargo test` passes", Some("cargo test"), None),
        ];
        assert_eq!(
            item("[ADR-001] Cache hit rate", rate, "review", 2, criteria).content_hash(),
            "aaacf1ce32c5219ec4bf19791d487a071eeb4331208c6520b6af9aeecc4ab98f"
        );
        for one in [
            criterion("x", Some("y"), None),
            criterion("xy", None, None),
            criterion("x", None, Some("y")),
        ] {
            assert_eq!(
                item("t", "d", "task", 1, vec![one]).content_hash(),
                "c81aa616be8560f91b7abad08668e9cd881e8304daf98518eec16ea6680e7f47"
            );
        }
    }

    #[test]
    fn import_refuses_more_phases_than_it_reads() {
        let directory = tempfile::tempdir().unwrap();
        let path = |phase| directory.path().join(format!(".rsry-handoff-{phase}.json"));
        let mut before = None;
        for phase in 0..=PHASES_MAX {
            let mut next = handoff(phase, "dev", "s", &[], &[]);
            next.previous_chain_hash = before;
            fs::write(path(phase), serde_json::to_vec(&next).unwrap()).unwrap();
            before = Some(next.rosary_chain_hash());
        }
        let import = || import(directory.path(), &[]).map(|it| it.files.len());
        assert!(matches!(import(), Err(ImportError::TooMany)));
        fs::rename(path(PHASES_MAX), path(PHASES_MAX + 1)).unwrap();
        assert!(matches!(import(), Err(ImportError::Gap(1000, 1001))));
        fs::remove_file(path(PHASES_MAX + 1)).unwrap();
        assert!(matches!(import(), Ok(1000)));
    }

    #[test]
    fn import_refuses_a_broken_link_and_tells_what_is_weak() {
        let directory = tempfile::tempdir().unwrap();
        let write = |handoff: &Handoff| {
            let name = format!(".rsry-handoff-{}.json", handoff.phase);
            let text = serde_json::to_vec_pretty(handoff).unwrap();
            fs::write(directory.path().join(name), text).unwrap();
        };
        assert!(matches!(
            import(directory.path(), &[]),
            Err(ImportError::Nothing)
        ));
        let first = handoff(0, "dev", "one", &["f"], &["c"]);
        let mut second = handoff(1, "ops", "two", &["f"], &[]);
        write(&first);
        write(&second);
        let imported = import(directory.path(), &["c"]).unwrap();
        let [one, other] = &*imported.files else {
            panic!("{} files", imported.files.len());
        };
        assert_eq!([&one.handoff, &other.handoff], [&first, &second]);
        assert_eq!((imported.weaknesses.len(), one.weaknesses.len()), (2, 0));
        let weak = other.weaknesses.join("\n");
        assert!(weak.contains("names no handoff before it"), "{weak}");
        assert!(weak.contains("names no commits"), "{weak}");

        second.previous_chain_hash = Some(first.rosary_chain_hash());
        write(&second);
        let weaknesses = |number: usize, commits: &[&str]| {
            let imported = import(directory.path(), commits).unwrap();
            imported.files[number].weaknesses.clone()
        };
        assert_eq!(weaknesses(0, &["c"]), [""; 0]);
        assert_eq!(weaknesses(1, &["c"]).len(), 1);
        let [weak] = &*weaknesses(0, &["d"]) else {
            panic!("one weakness");
        };
        assert!(weak.contains("names commit `c`, which"), "{weak}");
        // However many they are.
        write(&handoff(0, "dev", "one", &["f"], &["a", "b", "c"]));
        second.previous_chain_hash = None;
        write(&second);
        let [weak] = &*weaknesses(0, &["b"]) else {
            panic!("one weakness");
        };
        assert!(
            weak.contains("names commit `a` and 1 more, which"),
            "{weak}"
        );
        // A later phase shows that one is gone.
        write(&handoff(3, "ops", "four", &[], &[]));
        assert!(matches!(
            import(directory.path(), &[]),
            Err(ImportError::Gap(2, 3))
        ));
        fs::remove_file(directory.path().join(".rsry-handoff-3.json")).unwrap();
        // The first version had another hash.
        second.more.insert("schema_version".to_owned(), "1".into());
        write(&second);
        assert!(matches!(
            import(directory.path(), &[]),
            Err(ImportError::Schema(_))
        ));
        second.more.remove("schema_version");
        write(&second);
        assert!(matches!(
            import(directory.path(), &[]),
            Err(ImportError::Schema(_))
        ));
        second.more.insert("schema_version".to_owned(), "2".into());
        second.previous_chain_hash = Some("0".repeat(64));
        write(&second);
        assert!(matches!(
            import(directory.path(), &[]),
            Err(ImportError::Link(_))
        ));
        // A first phase that is gone is no empty chain.
        fs::remove_file(directory.path().join(".rsry-handoff-0.json")).unwrap();
        assert!(matches!(
            import(directory.path(), &[]),
            Err(ImportError::Nothing)
        ));
    }
}

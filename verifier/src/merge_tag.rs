//! The tags that a merge carries along: `git merge TAG` copies a signed tag into a `mergetag`
//! header, so that it is there when nobody has the ref.
//!
//! Such a tag is judged as a tag is, and reported. It lets nothing in: whoever writes a merge can
//! copy any tag into it.

use std::sync::Arc;

use notme_core::object::{HashKind, ObjectKind, merge_tags, parse_commit, parse_tag, split};

use crate::{
    evidence::Evidence,
    judge::{Judge, Judgement},
    repository::{Content, ObjectId, Repository},
};

/// Those of one object. Most have none, and a million judgements are kept at a time.
pub(crate) type MergeTags = Option<Arc<Vec<MergeTag>>>;

/// A tag in a merge, judged.
#[derive(Clone, Debug)]
pub struct MergeTag {
    name: Option<Box<str>>,
    target: Option<Box<str>>,
    parent: Option<usize>,
    judgement: Judgement,
}

impl MergeTag {
    /// Tells whether something carries tags.
    pub(crate) fn is_in(content: &Content, hash: HashKind) -> bool {
        carried(content, hash).is_some()
    }

    /// Reads and judges the tags in a commit; none in what is no merge.
    pub(crate) fn read(repository: &Repository, id: ObjectId, judge: &Judge<'_>) -> MergeTags {
        let (hash, content) = (repository.hash(), repository.object(id));
        let (raw, tags) = carried(&content, hash)?;
        let commit = split(ObjectKind::Commit, raw, hash).ok();
        let fields = commit.as_ref().map(|commit| parse_commit(commit.payload()));
        let fields = fields.and_then(Result::ok);
        let parents = fields.as_ref().map_or(&[][..], |fields| fields.parents());
        let tags = tags.iter();
        let judged = tags.map(|tag| Self::of(tag, hash, parents, judge));
        Some(Arc::new(judged.collect()))
    }

    fn of(raw: &[u8], hash: HashKind, parents: &[&str], judge: &Judge<'_>) -> Self {
        let object = split(ObjectKind::Tag, raw, hash).ok();
        let fields = object.as_ref().map(|object| parse_tag(object.payload()));
        let fields = fields.and_then(Result::ok);
        let name = fields.as_ref().map(|it| String::from_utf8_lossy(it.name()));
        let target = fields.as_ref().map(|it| it.target());
        let evidence = Evidence::from_object(ObjectKind::Tag, raw, hash);
        let reference = name.as_ref().map(|name| format!("refs/tags/{name}"));
        Self {
            parent: target.and_then(|it| parents.iter().position(|parent| *parent == it)),
            name: name.map(|name| name.into()),
            target: target.map(Into::into),
            judgement: judge.judge_beside(evidence, reference.as_deref()),
        }
    }

    /// Returns what the tag calls itself, when it can be read; unescaped.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the id of what it names, when it can be read.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// Returns which parent of the merge it names, counted from one, if it names one.
    pub fn parent(&self) -> Option<usize> {
        Some(self.parent? + 1)
    }

    /// Returns what is to be said of it as a tag.
    pub fn judgement(&self) -> &Judgement {
        &self.judgement
    }
}

/// Returns a merge and the tags in it, if there are any.
fn carried(content: &Content, hash: HashKind) -> Option<(&[u8], Vec<Vec<u8>>)> {
    let Content::Raw(ObjectKind::Commit, raw) = content else {
        return None;
    };
    let tags = merge_tags(raw, hash);
    (!tags.is_empty()).then_some((raw, tags))
}

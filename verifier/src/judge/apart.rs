//! What is judged without the history that it is in.

use std::borrow::Cow;

use crate::{
    policy::Surroundings,
    refusal::Refusal,
    repository::ChangedPaths,
    stated::{SignedBy, Stated},
};

/// Where nothing is known of what is around an object, but perhaps for the ref.
#[derive(Default)]
pub(super) struct Apart<'a> {
    /// The ref that it is for.
    pub(super) reference: Option<&'a str>,
    /// Those of the repository.
    pub(super) names: &'a [String],
    /// Whether it is a push, which changes no path, and about which nobody states anything.
    pub(super) is_push: bool,
}

impl Surroundings for Apart<'_> {
    fn footing(&self) -> Result<(), Refusal> {
        Ok(())
    }

    fn repository_names(&self) -> &[String] {
        self.names
    }

    fn reference(&self) -> Option<&str> {
        self.reference
    }

    fn is_tag(&self) -> bool {
        false
    }

    fn changes(&self) -> Result<Option<Cow<'_, ChangedPaths>>, Refusal> {
        Ok(self.is_push.then(|| Cow::Owned(ChangedPaths::default())))
    }

    fn changes_policy(&self) -> bool {
        false
    }

    fn may_change_trust(&self) -> bool {
        false
    }

    fn can_be_stated(&self) -> bool {
        !self.is_push
    }

    fn author(&self) -> Result<Option<SignedBy>, Refusal> {
        Ok(None)
    }

    fn statements(&self) -> Result<Vec<Stated>, Refusal> {
        Ok(Vec::new())
    }

    fn mergers(
        &self,
        _: &[String],
        _: &dyn Fn(&SignedBy) -> bool,
    ) -> Result<Vec<Vec<SignedBy>>, Refusal> {
        Ok(Vec::new())
    }
}

//! `https://notme.bot/provenance/handoff/v1` (APAS 0.3), all of whose members are optional.

use notme_core::statement::Statement;

use super::{PredicateError, check_subject, open_object};

open_object! {
    /// A handoff.
    Handoff {
        /// The phase that ends.
        from_phase: serde_json::Value,
        /// The phase that begins.
        to_phase: serde_json::Value,
        /// The name of the document handed over.
        handoff_document: String,
        /// Its digest.
        document_hash: String,
        /// The chain hash of the handoff before, in the orchestrator's own way.
        previous_chain_hash: String,
        /// The chain hash of this one, likewise: kept for interchange, trusted for nothing.
        chain_hash: String,
    }
}

impl Handoff {
    pub(super) fn check(&self, statement: &Statement) -> Result<(), PredicateError> {
        self.document_hash.as_ref().map_or(Ok(()), |hash| {
            check_subject(
                (hash, statement),
                "`documentHash` is not `sha256:` and 64 hex digits",
                "`documentHash` is not that of a subject",
            )
        })
    }
}

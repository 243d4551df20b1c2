//! What the certificates of a loan say, and those that serve while the authority is away.

use std::cell::RefCell;

use notme_core::{
    ssh,
    terms::{Terms, TermsError},
};

use crate::{chain::Chain, forms::OpenPgpKey};

/// An activity, its terms, and a certificate of each form for all that these allow.
#[derive(Debug)]
pub(crate) struct Lent {
    activity: String,
    terms: Terms,
    der: Vec<u8>,
    pub(crate) cms: RefCell<Option<Chain>>,
    pub(crate) ssh: RefCell<Option<ssh::Certificate>>,
    pub(crate) openpgp: RefCell<Option<OpenPgpKey>>,
}

impl Lent {
    /// Takes terms that can be written into certificates.
    ///
    /// # Errors
    /// [`TermsError`].
    pub(crate) fn new(activity: String, terms: Terms) -> Result<Self, TermsError> {
        Ok(Self {
            activity,
            der: terms.to_der()?,
            terms,
            cms: RefCell::default(),
            ssh: RefCell::default(),
            openpgp: RefCell::default(),
        })
    }

    /// Returns the activity.
    pub(crate) fn activity(&self) -> &str {
        &self.activity
    }

    /// Returns the terms.
    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Returns the terms as DER.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }
}

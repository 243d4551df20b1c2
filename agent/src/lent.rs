//! What the certificates of a loan say, and those that serve while the authority is away.

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
};

use notme_core::{
    ssh,
    terms::{Terms, TermsError},
};

use crate::{chain::Chain, forms::OpenPgpKey, slot::Slot};

/// An activity, its terms, and a certificate of each form for all that these allow.
#[derive(Debug)]
pub(crate) struct Lent {
    activity: String,
    terms: Terms,
    der: Vec<u8>,
    /// A session of its own, where terms are narrow. No signature here says which certificate it is
    /// made with: another one over the same key could be put in its place.
    slot: OnceCell<Rc<Slot>>,
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
            slot: OnceCell::new(),
            cms: RefCell::default(),
            ssh: RefCell::default(),
            openpgp: RefCell::default(),
        })
    }

    /// Takes a place for a session of its own.
    pub(crate) fn settle(&self, slot: Slot) -> Rc<Slot> {
        Rc::clone(self.slot.get_or_init(|| Rc::new(slot)))
    }

    /// Returns the place of its own session, if it has one.
    pub(crate) fn slot(&self) -> Option<&Rc<Slot>> {
        self.slot.get()
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

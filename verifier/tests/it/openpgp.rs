//! OpenPGP: session keys that an authority certified, and people whose keys are trusted.

mod people;
mod sessions;
mod store;
mod web_flow;

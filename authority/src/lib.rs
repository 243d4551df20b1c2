//! The embedded identity authority: it enrols agents and issues their certificates.
//!
//! [`serve`] runs it: HTTP over a unix socket, loopback TCP or TLS, on a SQLite store in a
//! private directory or in memory, or on a PostgreSQL store that several instances share. [`Admin`] is the operator's side: tokens, roots, trust
//! document; it works beside a running authority. [`running`] and [`stop`] find the process.
//!
//! # What is at rest
//! The four CA keys (X.509 with Ed25519, X.509 with P-256 for tools without Ed25519, SSH, OpenPGP)
//! and the key of the time stamps are sealed with AES-256-GCM. A store from before there were all of
//! them gets those that it lacks at its next start.
//! The key-encryption key comes from a passphrase or a key file through Argon2id (64 MiB, 3
//! passes, 1 lane, random salt), or, in the single-user default, lies in the 0600 file `kek`
//! beside the store in a 0700 directory. That default protects copies of the store; whoever can
//! read the directory has the keys. Keys that do not open are an error, never made anew. While it
//! serves, an authority has its keys and the key-encryption key in locked memory: with the latter
//! it opens the keys that another process rotates to.
//!
//! With [`Protection::Pkcs11`] none of them is here: a token makes them, signs and destroys them, and
//! the store has their names. [`Storage::Memory`] keeps everything for as long as the process lives.
//!
//! # Rotation
//! [`rotate`] replaces all five keys: the next ones are published ahead of use, taken into use,
//! and the old ones destroyed once no certificate of theirs lives. Destroyed means overwritten in
//! the store, or destroyed in the token; copies of the store made before still have them, sealed.
//!
//! # Audit
//! Every issuance, refusal, revocation, rotation and act of an operator is a row, written in the
//! transaction of the act, that names the row before by its hash; see docs/formats/audit.md.
//!
//! # What survives
//! A killed process loses nothing that was acknowledged. Keys, tokens, enrolments, revocations
//! and trust documents also survive a power cut; of the issuance record, of spent nonces and
//! proofs, and of what tokens of other issuers opened, it may take the last seconds. In PostgreSQL all that
//! was acknowledged survives what the server's disk survives.

#![forbid(unsafe_code)]

mod admin;
mod audit;
mod authority;
mod backup;
mod ca;
mod ca_key;
mod clock;
mod custody;
mod denial;
mod dpop;
mod draft;
mod failure;
mod format_ca;
mod http;
mod instance;
mod keys;
mod listen;
mod metrics;
mod oidc;
mod opening;
mod refusal;
mod revocation;
mod rotation;
mod scope;
mod seal;
mod secret;
mod serials;
mod server;
mod store;
mod token;
mod tsa;

pub use self::{
    admin::{Admin, AdminError, Description, FormatKeyInfo, RootInfo, init},
    audit::{AuditCheck, AuditError, AuditHead, HEAD_TYPE},
    authority::{Founding, Lifetimes, LocalEnrolment, OpenError},
    backup::{BackupError, Published, Restored, backup, restore},
    ca::CaError,
    clock::{Clock, SystemClock},
    custody::{NewKeys, Pkcs11Error, Pkcs11Protection},
    instance::{Instance, InstanceError, running, stop},
    listen::{Bound, Listen, ListenError, MonitorListen},
    oidc::{KeysError, OIDC_CONFIG_MAX, OidcConfig, OidcConfigError},
    opening::Place,
    refusal::Refusal,
    revocation::{RevocationError, RevocationReason, Revoked, Taken},
    rotation::{EpochInfo, Rotation, RotationError, rotate},
    scope::{Scope, ScopeError, Scopes},
    seal::{Protection, SealError, SealingKind},
    secret::Secret,
    server::{
        Answered, Limits, Observer, Rates, ServeConfig, ServeError, Serving, Storage, check, serve,
        serve_until,
    },
    store::{PostgresUrl, PostgresUrlError, StoreError, Summary},
    token::{EnrolmentToken, NewToken, TokenError, TokenInfo},
};

//! The three answers, the closed list of reasons, and what stands behind a time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the verifier answers about one object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Verdict {
    /// Every step passed.
    Accepted,
    /// We looked, and the answer is no.
    Rejected(Code),
    /// We could not look.
    Undecided(Code),
}

impl Verdict {
    /// Returns the verdict that a failing step's code stands for.
    pub const fn of(code: Code) -> Self {
        match code.class() {
            Class::Rejected => Self::Rejected(code),
            Class::Undecided => Self::Undecided(code),
        }
    }

    /// Returns the verdict's word, as in the JSON contract.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected(_) => "rejected",
            Self::Undecided(_) => "undecided",
        }
    }

    /// Returns the code, which an accepted object does not have.
    pub const fn code(self) -> Option<Code> {
        match self {
            Self::Accepted => None,
            Self::Rejected(code) | Self::Undecided(code) => Some(code),
        }
    }
}

/// Whether a code says no, or says that nobody could look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// The code means no.
    Rejected,
    /// The code means that a verdict could not be reached.
    Undecided,
}

/// Declares every code once: its variant, its name, its class, its cause and its fix.
macro_rules! codes {
    ($($variant:ident $name:literal $class:ident $cause:literal $fix:literal;)*) => {
        /// Why an object was not accepted. The list is closed.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Code {
            $(#[doc = concat!("`", $name, "`: ", $cause)] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the steps that give them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the code of a name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == name)
            }

            /// Returns the code's name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Tells whether the code means no, or that nobody could look.
            pub const fn class(self) -> Class {
                match self { $(Self::$variant => Class::$class,)* }
            }

            /// Returns what is the matter, as one sentence.
            pub const fn cause(self) -> &'static str {
                match self { $(Self::$variant => $cause,)* }
            }

            /// Returns what to do about it, as one sentence.
            pub const fn fix(self) -> &'static str {
                match self { $(Self::$variant => $fix,)* }
            }
        }
    };
}

impl Code {
    /// Tells whether something is wrong with an object itself, whoever is trusted.
    pub(crate) const fn is_of_object(self) -> bool {
        matches!(
            self,
            Self::Unsigned
                | Self::SignatureAmbiguous
                | Self::ObjectMalformed
                | Self::ObjectTooLarge
                | Self::SignatureUnknownFormat
                | Self::SignatureTooLarge
                | Self::SignatureMalformed
                | Self::CmsNoAttributes
                | Self::AlgorithmWeak
                | Self::SignatureInvalid
                | Self::IssuanceMismatch
        )
    }
}

codes! {
    ObjectMissing "object-missing" Undecided
        "The object, or one it needs, is not in this repository or cannot be read from it"
        "Fetch the missing history (`git fetch --unshallow`, or without a filter) or repair the object store (`git fsck`)";
    Unsigned "unsigned" Rejected
        "The object carries no signature"
        "Sign it (a commit: `git commit --amend -S`; a tag: `git tag -s -f NAME 'NAME^{}'`), or leave it out of the range";
    SignatureAmbiguous "signature-ambiguous" Rejected
        "The object carries two signatures, or text after the signature's end, so that two readers could see two signers"
        "Make the object again with one signature";
    ObjectMalformed "object-malformed" Rejected
        "The bytes are not a well-formed commit or tag, or not those that the object's name stands for"
        "Make the object again; run `git fsck` to see how it is broken";
    ObjectTooLarge "object-too-large" Rejected
        "The commit or tag, or a tree that it takes to judge it, is larger than the limit and was not read, nor what it leads to"
        "Make the object again with a shorter message, or with smaller folders; a real one is a few kilobytes";
    SignatureUnknownFormat "signature-unknown-format" Rejected
        "The signature's armor label is none that git or notme knows"
        "Sign again with a supported format";
    SignatureTooLarge "signature-too-large" Rejected
        "The signature, a certificate in it or its chain is larger than the limit"
        "Sign again; a real signature is a few kilobytes";
    SignatureMalformed "signature-malformed" Rejected
        "The signature does not parse: broken armor, encoding or structure"
        "Sign again; if a tool wrote it that way, report it there";
    CmsNoAttributes "cms-no-attributes" Rejected
        "The signature has no signed attributes, so that what it covers can be told in two ways"
        "Sign again with signed attributes, which every git signer writes";
    AlgorithmWeak "algorithm-weak" Rejected
        "The signature or a certificate uses SHA-1, MD5 or another algorithm that is not accepted"
        "Sign again with Ed25519, P-256 or RSA of 2048 bits and SHA-2";
    AlgorithmUnsupported "algorithm-unsupported" Undecided
        "The signature or a certificate uses an algorithm that this version does not read"
        "Sign with Ed25519, P-256 or RSA and SHA-2, or use a version of notme that reads the algorithm";
    SignatureInvalid "signature-invalid" Rejected
        "The signature does not match: the object, the signature or the certificate was altered"
        "Treat the object as forged; have its author sign it again";
    TrustMissing "trust-missing" Undecided
        "No authority is trusted here, or one that the policy names is not in the trust store"
        "Add the authority: `notme trust add`";
    TrustUnreadable "trust-unreadable" Undecided
        "A trust file could not be read, is damaged, or may be written by others"
        "Repair the file or its permissions, or remove the authority and add it again";
    TrustFromFuture "trust-from-future" Undecided
        "The stored trust document is from the future, as this machine's clock has it"
        "Check this machine's clock; if it is right, the authority's is wrong";
    TrustStateMissing "trust-state-missing" Undecided
        "The record of the newest trust document seen is gone, so a rollback would not be noticed"
        "Check the pin with the authority, then `notme trust remove` and `notme trust add` it again";
    BundleInvalid "bundle-invalid" Rejected
        "The stored trust document is not signed by a pinned key, is of another authority, or says something impossible"
        "Remove the authority and add it again from a source you trust";
    BundleRollback "bundle-rollback" Rejected
        "The stored trust document is older than one already seen"
        "Run `notme trust refresh`; if it stays, somebody is replaying an old document";
    BundleEquivocation "bundle-equivocation" Rejected
        "The authority published two different trust documents under one number"
        "Ask the authority; until it is explained, do not trust it";
    TrustStale "trust-stale" Undecided
        "The stored trust document is older than it, or the policy, allows"
        "Run `notme trust refresh`";
    SignerUntrusted "signer-untrusted" Rejected
        "Neither the key itself nor an authority that its certificate leads to is trusted at that time"
        "If the authority is yours, add it: `notme trust add`, by its trust document, since PEM roots vouch for no SSH or OpenPGP signature; if the key is somebody's own, by `--openpgp` or `--allowed-signers`; and name its root where a policy names roots; else do not accept the object";
    RootRetired "root-retired" Rejected
        "The certificate was issued with a key that the authority had retired before the judged time"
        "Sign again: the key agent gets a certificate of the authority's new keys by itself";
    RootNotYetUsed "root-not-yet-used" Rejected
        "The certificate was issued with a key that the authority did not use yet at the judged time"
        "Run `notme trust refresh`; if it stays, somebody else used the key, so ask the authority";
    CertificateUnknownCritical "certificate-unknown-critical" Rejected
        "A certificate of the chain, or an OpenPGP signature, has a critical part that notme does not understand"
        "Have the authority issue a certificate without it, or sign again without it";
    CertificateInvalid "certificate-invalid" Rejected
        "A certificate of the chain may not be used for this: an authority's own, for TLS only, or outside its issuer's limits"
        "Sign with a signing certificate";
    IdentityMissing "identity-missing" Rejected
        "The certificate does not name exactly one identity"
        "Have the authority issue a certificate with a single URI name";
    ScopeMissing "scope-missing" Rejected
        "The certificate does not carry a scope that allows such a signature"
        "Enrol with the scope `sign:git`; with `sign:attestation` for statements";
    IssuanceMismatch "issuance-mismatch" Rejected
        "The certificate was issued for the signing of other bytes"
        "Treat the object as forged; sign again";
    TimestampInvalid "timestamp-invalid" Rejected
        "A time stamp of the signature is broken, over other bytes, or not by the trusted authority that it names"
        "Treat the object as forged; sign again";
    LogEntryInvalid "log-entry-invalid" Rejected
        "The log entry of a signature is broken, about another signature, or not by the trusted log that it names"
        "Treat the object as forged; sign again";
    TimeNotShown "time-not-shown" Undecided
        "Signature and chain are good, and nothing shows that the short-lived certificate lived when it signed"
        "Sign with an embedded log entry (gitsign: `rekorMode = offline`) or a time stamp, or lower `time_basis_floor` for the authority knowing what that means";
    TimeBasisTooWeak "time-basis-too-weak" Rejected
        "What shows that the certificate lived when it signed is weaker than the policy asks"
        "Sign while the authority is reachable, or lower `time_basis_floor` in the policy knowing what that means";
    CertificateExpired "certificate-expired" Rejected
        "The certificate, or one above it, had ended at the judged time"
        "Sign again with a current certificate";
    CertificateNotYetValid "certificate-not-yet-valid" Rejected
        "The judged time lies before the certificate's beginning, or in the future"
        "Set the signing machine's clock right and sign again";
    Revoked "revoked" Rejected
        "The authority took back the certificate, its key or its identity, from a time before the judged one"
        "Find out from the authority what happened; have somebody trusted sign again";
    NotAuthorised "not-authorised" Rejected
        "The signer is known, and no rule of the policy allows it"
        "Add an `[[allow]]` rule for the identity, or have somebody allowed sign";
    TermsRepository "terms-repository" Rejected
        "The signer's certificate is for another repository"
        "If it is this one, name it (`git config notme.repository HOST/PATH`, or `repository` in the policy); else sign it again here";
    TermsRef "terms-ref" Rejected
        "The signer's certificate is for other refs than the one that this is for"
        "Have somebody else merge it with a merge commit, or sign it again with a certificate for that ref (`notme run --ref`)";
    TermsPath "terms-path" Rejected
        "The commit changes a path that the signer's certificate is not for"
        "Leave the path out, or sign it again with a certificate for it (`notme run --path`)";
    TermsUnchecked "terms-unchecked" Undecided
        "The signer's certificate is for some paths, and which were changed is not known"
        "Verify it in its repository (`notme verify`), with the history before it (`git fetch --unshallow`)";
    TagRenamed "tag-renamed" Rejected
        "The tag's own name, which its signature covers, is another than that of the ref that names it"
        "Name it by the ref of its own name, or have it made anew under this one; for an alias that moves, use a lightweight tag of the commit, as by `git tag --no-sign`";
    ChangesUnknown "changes-unknown" Undecided
        "What the commit changed is more than is looked at: some two million entries of its trees and those of its parents"
        "Merge fewer branches at once, or make smaller commits";
    CommitterMismatch "committer-mismatch" Rejected
        "The committer's address is none of the signer's, and the policy asks for that"
        "Commit under an address of the signer, or add it to the principal's `emails`";
    LevelTooLow "level-too-low" Rejected
        "What is attested carries a lower level than the policy asks for"
        "Attest with the evidence that the level takes, or lower `level` in the policy knowing what that means";
    AcceptanceMissing "acceptance-missing" Undecided
        "Fewer have accepted the object than the policy asks for"
        "Have it accepted (`notme attest acceptance`), merge it signed, or fetch the attestations (`notme attest fetch`)";
    PolicyNotAuthorised "policy-not-authorised" Rejected
        "The commit changes the policy, and the policy before it does not give its signer that right"
        "Have somebody with `policy = true` make the change";
    PolicyInvalid "policy-invalid" Rejected
        "The commit takes the policy away, or leaves one that cannot be read"
        "Correct the line that the message names, and commit again from before it";
    ParentNotAccepted "parent-not-accepted" Rejected
        "No parent of the commit, or not what the tag names, was accepted, so that no policy stands for it"
        "Commit again on what was accepted, or merge it there";
    ParentUndecided "parent-undecided" Undecided
        "It is not known whether what the object stands on is accepted"
        "See what the verdict on its parents says";
    EnvelopeMalformed "envelope-malformed" Rejected
        "The attestation is not a Sigstore bundle with one DSSE envelope and its certificate, or not the one that its name stands for"
        "Attest again; if a tool wrote it that way, report it there";
    StatementMalformed "statement-malformed" Rejected
        "What was signed is not an in-toto statement, or one that two readers could read in two ways"
        "Attest again; if a tool wrote it that way, report it there";
    SubjectMismatch "subject-mismatch" Rejected
        "The statement speaks of something else than what it was kept with"
        "Treat it as moved there by somebody; attest what is meant";
    PredicateUnknown "predicate-unknown" Undecided
        "The statement says something that this version of notme does not read"
        "Judge it with the tool that knows the predicate";
    PredicateMalformed "predicate-malformed" Rejected
        "The statement lacks what its type promises, or says something impossible"
        "Attest again with the members that docs/formats/attestations.md lists";
    AgentMismatch "agent-mismatch" Rejected
        "The statement names another workload than the certificate of its signer"
        "Attest as that workload, or leave it to the certificate to say who it is";
    OriginsDisclosed "origins-disclosed" Rejected
        "A statement in a public carrier lists the origins of what the agent read"
        "Attest again with `--origins`, which states their digest only";
    OriginsMismatch "origins-mismatch" Rejected
        "The list of origins that was shown is not the one that the statement stands for"
        "Ask for the list that was attested";
    AcceptanceSelf "acceptance-self" Rejected
        "Whoever accepted the commit signed it or its attestations too"
        "Have somebody else accept it";
    AcceptanceRejected "acceptance-rejected" Rejected
        "Somebody trusted looked at the commit and states that it is not accepted"
        "Read why (`notme attest verify`) and make another commit";
    EvidenceMissing "evidence-missing" Undecided
        "A statement that this one rests on is not here, or was not accepted"
        "Fetch the attestations (`notme attest fetch`)";
    ChainPrefixMissing "chain-prefix-missing" Rejected
        "The opening record of the activity is gone, or signed by somebody else"
        "Fetch the attestations (`notme attest fetch`); if it stays, the chain was cut";
    ChainLinkMissing "chain-link-missing" Rejected
        "A record in the middle of the activity's chain is gone, or was not accepted"
        "Fetch the attestations (`notme attest fetch`); if it stays, the chain was cut";
    ChainLinkBroken "chain-link-broken" Rejected
        "A record of the activity follows another record than the one that is there"
        "Treat the chain as spliced; ask its signer for the records";
    ChainReordered "chain-reordered" Rejected
        "Records of the activity stand in another order than the one they were signed in"
        "Treat the chain as spliced; ask its signer for the records";
    ChainCount "chain-count" Rejected
        "The closing record of the activity counts another number of records"
        "Treat the chain as cut; ask its signer for the records";
    ChainRecordStray "chain-record-stray" Rejected
        "The record is kept with its commit, and is none of its activity's chain"
        "Fetch the attestations (`notme attest fetch`); if it stays, it was taken off its chain";
    ChainFork "chain-fork" Rejected
        "Two records of the activity have one place in its chain"
        "Treat the chain as forked; ask its signer which is true";
    ChainExtended "chain-extended" Rejected
        "There are records of the activity after the closing one"
        "Treat what comes after as none of the activity";
    ChainTailMissing "chain-tail-missing" Undecided
        "The activity has no closing record: it goes on, or its end was cut off"
        "Fetch the attestations (`notme attest fetch`), end the activity (`notme attest activity --activity ID --end`), or allow it with `--open`";
    ChainElsewhere "chain-elsewhere" Rejected
        "The activity's chain belongs to another repository: what it began from, or every commit that it covers, is not here"
        "Treat it as replayed; fetch the history if the clone is shallow";
    ChainTrailer "chain-trailer" Rejected
        "The commit carries the head of a chain that is not here, or that does not hold it before the commit's record"
        "Treat the chain as made afterwards; ask its signer";
    AttestationMissing "attestation-missing" Undecided
        "Nothing is attested about the object"
        "Attest it (`notme attest dispatch`), or fetch the attestations (`notme attest fetch`)";
    PolicyUnreadable "policy-unreadable" Undecided
        "The policy file is missing, unreadable or not a policy"
        "Correct the line that the message names";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What shows that a signature was made while its certificate lived, weakest first.
///
/// This version finds all but `witnessed`; a policy may name any as its floor, and nothing reaches
/// a floor that nothing produces.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeBasis {
    /// The committer or tagger date. Whoever keeps the key can write any.
    Declared,
    /// Declared, and consistent with parents and children.
    DagOrdered,
    /// A signed receive record of a gate.
    FirstSeen,
    /// The certificate itself names the signed bytes.
    IssuanceBound,
    /// An RFC 3161 token over the signature.
    Timestamped,
    /// A dated answer of a log that the authority names.
    Logged,
    /// Logged, with a quorum of witnesses.
    Witnessed,
}

impl TimeBasis {
    /// Returns the name used in JSON, in policies and in text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::DagOrdered => "dag-ordered",
            Self::FirstSeen => "first-seen",
            Self::IssuanceBound => "issuance-bound",
            Self::Timestamped => "timestamped",
            Self::Logged => "logged",
            Self::Witnessed => "witnessed",
        }
    }
}

impl fmt::Display for TimeBasis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

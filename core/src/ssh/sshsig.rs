//! SSHSIG: a signature with its signer in it (PROTOCOL.sshsig), and its armor.

use std::io::{self, BufRead as _, BufReader, Read};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use sha2::{Digest as _, Sha256, Sha512};

use super::{
    key::{Key, KeyReadError},
    public_key::VerifyError,
    signature::{Presence, Signature, SignatureFormatError},
    wire::{Reader, WireError, Writer},
};
use crate::{armor::ARMOR_MAX, base64::encode_wrapped};

/// A hash that SSHSIG allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HashAlgorithm {
    /// `sha256`.
    Sha256,
    /// `sha512`, which is what everybody writes.
    Sha512,
}

impl HashAlgorithm {
    /// Finds the algorithm of a name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }

    /// Returns the name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

/// Hashes a message piece by piece, so that it never has to be in memory as a whole.
#[derive(Clone, Debug)]
struct Hasher(HasherKind);

#[derive(Clone, Debug)]
enum HasherKind {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// Begins.
    fn new(algorithm: HashAlgorithm) -> Self {
        Self(match algorithm {
            HashAlgorithm::Sha256 => HasherKind::Sha256(Sha256::new()),
            HashAlgorithm::Sha512 => HasherKind::Sha512(Sha512::new()),
        })
    }

    /// Takes the next piece.
    fn update(&mut self, piece: &[u8]) {
        match &mut self.0 {
            HasherKind::Sha256(hasher) => hasher.update(piece),
            HasherKind::Sha512(hasher) => hasher.update(piece),
        }
    }

    /// Ends.
    fn finish(self) -> Prehash {
        match self.0 {
            HasherKind::Sha256(hasher) => Prehash {
                algorithm: HashAlgorithm::Sha256,
                digest: hasher.finalize().to_vec(),
            },
            HasherKind::Sha512(hasher) => Prehash {
                algorithm: HashAlgorithm::Sha512,
                digest: hasher.finalize().to_vec(),
            },
        }
    }
}

/// The hash of a message: all that SSHSIG signs of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prehash {
    algorithm: HashAlgorithm,
    digest: Vec<u8>,
}

impl Prehash {
    /// Hashes a message that is read to its end.
    ///
    /// # Errors
    /// The reader's.
    pub fn read(algorithm: HashAlgorithm, message: &mut dyn Read) -> io::Result<Self> {
        let mut hasher = Hasher::new(algorithm);
        let mut reader = BufReader::with_capacity(64 * 1024, message);
        loop {
            let piece = match reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                piece => piece?,
            };
            if piece.is_empty() {
                return Ok(hasher.finish());
            }
            hasher.update(piece);
            let length = piece.len();
            reader.consume(length);
        }
    }

    /// Hashes a message that is in memory.
    pub fn of(algorithm: HashAlgorithm, message: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(message);
        hasher.finish()
    }

    /// Returns the bytes that a key signs for this message in a namespace.
    pub fn signed_data(&self, namespace: &str) -> Vec<u8> {
        Writer::new()
            .bytes(MAGIC)
            .string(namespace.as_bytes())
            .string(b"")
            .string(self.algorithm.name().as_bytes())
            .string(&self.digest)
            .finish()
    }
}

/// A signature that was read, and not checked yet: see [`SshSig::verify`].
#[derive(Clone, Debug)]
pub struct SshSig {
    key: Key,
    namespace: String,
    hash: HashAlgorithm,
    signature: Vec<u8>,
}

impl SshSig {
    /// Puts a signature blob together with what it was made with.
    pub fn new(key: Key, namespace: &str, hash: HashAlgorithm, signature: Vec<u8>) -> Self {
        Self {
            key,
            namespace: namespace.to_owned(),
            hash,
            signature,
        }
    }

    /// Reads a signature without its armor.
    ///
    /// # Errors
    /// [`SshSigError`].
    pub fn from_blob(blob: &[u8]) -> Result<Self, SshSigError> {
        let mut reader = Reader::new(blob);
        if reader.bytes(MAGIC.len()) != Ok(MAGIC) {
            return Err(SshSigError::Magic);
        }
        let version = reader.u32()?;
        if version != VERSION {
            return Err(SshSigError::Version(version));
        }
        let key = Key::from_blob(reader.string()?)?;
        let namespace = reader.text()?.to_owned();
        // No signature covers it: who could fill it could make many spellings of one signature.
        if !reader.string()?.is_empty() {
            return Err(SshSigError::Reserved);
        }
        let hash = reader.text()?;
        let hash = HashAlgorithm::named(hash).ok_or_else(|| {
            let printable = hash.chars().filter(|c| c.is_ascii_graphic());
            SshSigError::Hash(printable.take(64).collect())
        })?;
        let signature = reader.string()?.to_vec();
        reader.finish()?;
        Signature::from_blob(&signature)?;
        Ok(Self {
            key,
            namespace,
            hash,
            signature,
        })
    }

    /// Reads a signature in its armor, wherever its lines end, as ssh-keygen does.
    ///
    /// # Errors
    /// [`SshSigError`].
    pub fn from_armor(armor: &[u8]) -> Result<Self, SshSigError> {
        Self::from_blob(&dearmor(armor)?)
    }

    /// Returns who signed, as the signature says.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Returns what for.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the hash that the message has to be hashed with.
    pub fn hash(&self) -> HashAlgorithm {
        self.hash
    }

    /// Returns the name of the algorithm that made the signature.
    pub fn algorithm(&self) -> Option<&str> {
        Signature::from_blob(&self.signature)
            .ok()
            .map(|it| it.name())
    }

    /// Returns what a security key says beside it.
    pub fn presence(&self) -> Option<Presence> {
        Signature::from_blob(&self.signature).ok()?.presence()
    }

    /// Checks that the key signed this message for this namespace. Whose key it is is another
    /// question.
    ///
    /// # Errors
    /// [`SshSigError`].
    pub fn verify(&self, namespace: &str, message: &Prehash) -> Result<(), SshSigError> {
        if self.namespace != namespace {
            return Err(SshSigError::OtherNamespace(self.namespace.clone()));
        }
        if message.algorithm != self.hash {
            return Err(SshSigError::OtherHash);
        }
        let signature = Signature::from_blob(&self.signature)?;
        let data = message.signed_data(namespace);
        Ok(self.key.public_key().verify(&data, &signature)?)
    }

    /// Writes the signature without armor.
    pub fn to_blob(&self) -> Vec<u8> {
        Writer::new()
            .bytes(MAGIC)
            .u32(VERSION)
            .string(self.key.blob())
            .string(self.namespace.as_bytes())
            .string(b"")
            .string(self.hash.name().as_bytes())
            .string(&self.signature)
            .finish()
    }

    /// Writes the signature in its armor, byte for byte as ssh-keygen does.
    pub fn to_armor(&self) -> String {
        let body = encode_wrapped(&self.to_blob(), COLUMNS);
        format!("{BEGIN}\n{body}{END}\n")
    }
}

/// Takes a signature out of its armor as OpenSSH does: the first line is the label and nothing
/// else, white space in the body is passed over, what follows the last line is not looked at.
///
/// # Errors
/// [`SshSigError`].
pub fn dearmor(armor: &[u8]) -> Result<Vec<u8>, SshSigError> {
    if armor.len() > ARMOR_MAX {
        return Err(SshSigError::TooLong);
    }
    let body = armor
        .strip_prefix(BEGIN.as_bytes())
        .and_then(|rest| rest.strip_prefix(b"\n"))
        .ok_or(SshSigError::NoBegin)?;
    let lines = body.split(|byte| *byte == b'\n');
    let mut text = Vec::with_capacity(body.len());
    for (number, line) in lines.enumerate() {
        // The last line stands after a line break of the body.
        if number > 0 && line.starts_with(END.as_bytes()) {
            return LENIENT.decode(text).map_err(|_| SshSigError::Base64);
        }
        text.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
    }
    Err(SshSigError::NoEnd)
}

const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;
const COLUMNS: usize = 70;
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
const LENIENT: GeneralPurpose = GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new());

/// The signature is none, or does not match.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SshSigError {
    /// The armor is longer than a signature can be.
    #[error("the signature is longer than 1 MiB")]
    TooLong,
    /// The first line is not the label.
    #[error("missing header")]
    NoBegin,
    /// The last line is missing.
    #[error("missing footer")]
    NoEnd,
    /// The body is not base64.
    #[error("the body of the signature is not base64")]
    Base64,
    /// It does not begin with `SSHSIG`.
    #[error("the data does not begin as a signature")]
    Magic,
    /// A version that we do not read.
    #[error("signature version {0} is not supported")]
    Version(u32),
    /// The encoding is broken.
    #[error("the signature is malformed: {0}")]
    Wire(#[from] WireError),
    /// The signer's key is none.
    #[error(transparent)]
    Key(#[from] KeyReadError),
    /// The reserved field, which no signature covers, is not empty.
    #[error("the signature's reserved field is not empty")]
    Reserved,
    /// A hash that is not allowed.
    #[error("unsupported hash algorithm \"{0}\"")]
    Hash(String),
    /// What the key made is no signature.
    #[error(transparent)]
    Signature(#[from] SignatureFormatError),
    /// It was made for something else.
    #[error("namespace does not match")]
    OtherNamespace(String),
    /// The message was hashed otherwise.
    #[error("hash algorithm mismatch")]
    OtherHash,
    /// The signature is not one of the key over the message.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl SshSigError {
    /// Returns the closed code of the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "signature-too-large",
            Self::Hash(_) | Self::Signature(SignatureFormatError::Sha1) => "algorithm-weak",
            Self::Verify(VerifyError::RsaTooShort(_)) => "algorithm-weak",
            Self::Verify(VerifyError::RsaTooLong(_))
            | Self::Signature(SignatureFormatError::Unsupported(_)) => "algorithm-unsupported",
            Self::Key(error) => key_code(error),
            Self::NoBegin
            | Self::NoEnd
            | Self::Base64
            | Self::Magic
            | Self::Version(_)
            | Self::Wire(_)
            | Self::Reserved
            | Self::Signature(SignatureFormatError::Wire(_)) => "signature-malformed",
            Self::OtherNamespace(_)
            | Self::OtherHash
            | Self::Verify(VerifyError::Mismatch | VerifyError::OtherAlgorithm { .. }) => {
                "signature-invalid"
            }
        }
    }
}

fn key_code(error: &KeyReadError) -> &'static str {
    use super::{certificate::CertificateError, public_key::KeyError};
    match error {
        KeyReadError::Key(KeyError::Unsupported(_))
        | KeyReadError::Certificate(
            CertificateError::Key(KeyError::Unsupported(_))
            | CertificateError::SignatureFormat(SignatureFormatError::Unsupported(_))
            | CertificateError::Signature(VerifyError::RsaTooLong(_)),
        ) => "algorithm-unsupported",
        KeyReadError::Certificate(
            CertificateError::SignatureFormat(SignatureFormatError::Sha1)
            | CertificateError::Signature(VerifyError::RsaTooShort(_)),
        ) => "algorithm-weak",
        KeyReadError::Certificate(CertificateError::Signature(
            VerifyError::Mismatch | VerifyError::OtherAlgorithm { .. },
        )) => "signature-invalid",
        KeyReadError::TooLong => "signature-too-large",
        KeyReadError::NotAKey
        | KeyReadError::Base64
        | KeyReadError::OtherType
        | KeyReadError::Key(KeyError::Wire(_) | KeyError::Invalid)
        | KeyReadError::Certificate(
            CertificateError::Wire(_)
            | CertificateError::Key(KeyError::Wire(_) | KeyError::Invalid)
            | CertificateError::Role(_)
            | CertificateError::TooManyPrincipals
            | CertificateError::Extension(_)
            | CertificateError::SignatureFormat(SignatureFormatError::Wire(_)),
        ) => "signature-malformed",
    }
}

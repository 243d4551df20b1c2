//! The terms of a certificate: where what it signs may belong, how much that may be, and until
//! when. They narrow what the identity may do; nothing is allowed by them.

use serde::{Deserialize, Serialize};

use crate::{
    base64,
    der_reader::{DerError, Element, INTEGER, Reader, SEQUENCE, UTF8_STRING, context},
    der_writer::{element, sequence, time, unsigned},
    glob::Glob,
    time::UnixTime,
};

/// The most patterns of one kind.
pub const PATTERNS_MAX: usize = 32;
/// The longest pattern, and the longest name of a repository, in bytes.
pub const WORD_MAX: usize = 255;
/// The longest encoding, in bytes.
pub const TERMS_MAX: usize = 4096;

const REPOSITORY: u8 = 0x80;

/// What a certificate may be used for. In patterns `*` stands for any run of characters.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The one repository, by the name that [`repository_name`] gives it; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The refs that commits may be for, and that tags and push certificates may name; any when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refs: Option<Vec<String>>,
    /// The paths that commits may change; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// How many git objects are signed at most, by all certificates of the activity.
    pub signatures: u32,
    /// The last second.
    pub until: UnixTime,
}

impl Terms {
    /// Tells whether they say more than how much and until when: only whoever verifies can hold a
    /// commit to that.
    pub fn are_narrow(&self) -> bool {
        self.repository.is_some() || self.refs.is_some() || self.paths.is_some()
    }

    /// Tells whether a ref is among theirs.
    pub fn allow_ref(&self, name: &str) -> bool {
        allow(self.refs.as_deref(), name)
    }

    /// Tells whether a path is among theirs.
    pub fn allow_path(&self, path: &str) -> bool {
        allow(self.paths.as_deref(), path)
    }

    /// Writes them as DER.
    ///
    /// # Errors
    /// [`TermsError`] when they are beyond the limits.
    pub fn to_der(&self) -> Result<Vec<u8>, TermsError> {
        self.check()?;
        let mut parts = vec![
            unsigned(&self.signatures.to_be_bytes()),
            time(self.until).ok_or(TermsError)?,
        ];
        if let Some(name) = &self.repository {
            parts.push(element(REPOSITORY, &[name.as_bytes()]));
        }
        for (number, patterns) in [(1, &self.refs), (2, &self.paths)] {
            if let Some(patterns) = patterns {
                let utf8 = |text: &String| element(UTF8_STRING, &[text.as_bytes()]);
                let list: Vec<u8> = patterns.iter().flat_map(utf8).collect();
                parts.push(element(context(number), &[&list]));
            }
        }
        let der = sequence(&[&parts.concat()]);
        match der.len() > TERMS_MAX {
            true => Err(TermsError),
            false => Ok(der),
        }
    }

    /// Reads what [`Self::to_der`] writes, and nothing else.
    ///
    /// # Errors
    /// [`TermsError`].
    pub fn from_der(der: &[u8]) -> Result<Self, TermsError> {
        if der.len() > TERMS_MAX {
            return Err(TermsError);
        }
        let mut fields = Reader::only(der, SEQUENCE)?.reader();
        let signatures = fields.expect(INTEGER)?.unsigned()?;
        let until = fields.any()?.time()?;
        let repository = fields.optional(REPOSITORY)?;
        let repository = repository.map(|name| text(name.value)).transpose()?;
        let mut list = |number| fields.optional(context(number))?.map(patterns).transpose();
        let terms = Self {
            repository,
            refs: list(1)?,
            paths: list(2)?,
            signatures: u32::try_from(signatures).map_err(|_| TermsError)?,
            until,
        };
        // One spelling, within the limits, and nothing behind.
        match terms.to_der()? == der {
            true => Ok(terms),
            false => Err(TermsError),
        }
    }

    /// Writes them as text: the DER in base64.
    ///
    /// # Errors
    /// As [`Self::to_der`].
    pub fn to_text(&self) -> Result<String, TermsError> {
        Ok(base64::encode(&self.to_der()?))
    }

    /// Reads what [`Self::to_text`] writes, and nothing else.
    ///
    /// # Errors
    /// [`TermsError`].
    pub fn from_text(text: &str) -> Result<Self, TermsError> {
        if text.len() > TERMS_MAX.saturating_mul(2) {
            return Err(TermsError);
        }
        Self::from_der(&base64::decode(text).ok_or(TermsError)?)
    }

    fn check(&self) -> Result<(), TermsError> {
        let is_word = |text: &String| {
            (1..=WORD_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
        };
        let is_list = |list: &Vec<String>| {
            (1..=PATTERNS_MAX).contains(&list.len()) && list.iter().all(is_word)
        };
        let holds = self.signatures > 0
            && self.repository.iter().all(is_word)
            && self.refs.iter().all(is_list)
            && self.paths.iter().all(is_list);
        match holds {
            true => Ok(()),
            false => Err(TermsError),
        }
    }
}

fn allow(patterns: Option<&[String]>, text: &str) -> bool {
    let fits = |pattern: &String| Glob::new(pattern).matches(text);
    patterns.is_none_or(|patterns| patterns.iter().any(fits))
}

fn patterns(list: Element<'_>) -> Result<Vec<String>, TermsError> {
    let mut list = list.reader();
    let mut patterns = Vec::new();
    while !list.is_empty() {
        if patterns.len() == PATTERNS_MAX {
            return Err(TermsError);
        }
        patterns.push(list.any()?.utf8()?.to_owned());
    }
    Ok(patterns)
}

fn text(bytes: &[u8]) -> Result<String, TermsError> {
    let text = std::str::from_utf8(bytes).map_err(|_| TermsError)?;
    Ok(text.to_owned())
}

/// Returns the name of a repository: its URL without scheme, user, usual port and `.git`, so that
/// it is the same over SSH and HTTPS. A name stays what it is; `None` for a path on this machine,
/// which names nothing elsewhere.
pub fn repository_name(url: &str) -> Option<String> {
    const PORTS: [&str; 4] = ["22", "80", "443", "9418"];
    let (place, path) = match url.split_once("://") {
        Some(("file", _)) => return None,
        Some((_, rest)) => rest.split_once('/')?,
        None if url.starts_with(['/', '.', '~']) => return None,
        // As scp writes it, or a name.
        None => url.split_once([':', '/'])?,
    };
    let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((name, port)) if PORTS.contains(&port) => name,
        Some(_) | None => host,
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let path = path.trim_end_matches('/');
    let is_whole = !host.is_empty() && !path.is_empty();
    let name = format!("{}/{path}", host.to_ascii_lowercase());
    let is_plain = name.len() <= WORD_MAX && !name.chars().any(char::is_control);
    (is_whole && is_plain).then_some(name)
}

/// The terms cannot be written, or the bytes are none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "terms are at least one signature, an end before the year 10000, and lists of at most \
     {PATTERNS_MAX} patterns of at most {WORD_MAX} bytes without control characters, \
     {TERMS_MAX} bytes in all"
)]
pub struct TermsError;

impl From<DerError> for TermsError {
    fn from(DerError: DerError) -> Self {
        Self
    }
}

impl From<TermsError> for DerError {
    fn from(TermsError: TermsError) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> Terms {
        Terms {
            repository: Some("example.org/team/tool".to_owned()),
            refs: Some(vec!["refs/heads/agent/*".to_owned()]),
            paths: Some(vec!["src/*".to_owned(), "docs/*".to_owned()]),
            signatures: 10,
            until: UnixTime::from_secs(1_795_176_000),
        }
    }

    /// By hand, from the ASN.1 in docs/formats/terms.md.
    #[test]
    fn is_the_der_of_the_specification() {
        let plain = Terms {
            repository: Some("h/r".to_owned()),
            refs: Some(vec!["*".to_owned()]),
            paths: None,
            ..terms()
        };
        let expected = [
            &[0x30, 0x1c, 0x02, 0x01, 0x0a, 0x17, 0x0d][..],
            b"261120120000Z",
            &[0x80, 0x03],
            b"h/r",
            &[0xa1, 0x03, 0x0c, 0x01],
            b"*",
        ]
        .concat();
        assert_eq!(plain.to_der().unwrap(), expected);
        assert_eq!(Terms::from_der(&expected), Ok(plain));
    }

    #[test]
    fn reads_what_it_writes_and_no_byte_more_or_less() {
        let der = terms().to_der().unwrap();
        assert_eq!(Terms::from_der(&der), Ok(terms()));
        let text = terms().to_text().unwrap();
        assert_eq!(Terms::from_text(&text), Ok(terms()));
        for end in 0..der.len() {
            assert_eq!(Terms::from_der(&der[..end]), Err(TermsError));
        }
        assert_eq!(Terms::from_der(&[&der[..], &[0]].concat()), Err(TermsError));
        assert_eq!(Terms::from_text(&format!("{text}=")), Err(TermsError));
        // What a flipped bit leaves readable says something else.
        for bit in 0..der.len() * 8 {
            let mut flipped = der.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Terms::from_der(&flipped), Ok(terms()), "bit {bit}");
        }
    }

    #[test]
    fn refuses_what_is_beyond_the_limits() {
        let long = "a".repeat(WORD_MAX + 1);
        for terms in [
            Terms {
                signatures: 0,
                ..terms()
            },
            Terms {
                until: UnixTime::from_secs(-1),
                ..terms()
            },
            Terms {
                repository: Some(String::new()),
                ..terms()
            },
            Terms {
                repository: Some("a\nb".to_owned()),
                ..terms()
            },
            Terms {
                repository: Some(long.clone()),
                ..terms()
            },
            Terms {
                refs: Some(Vec::new()),
                ..terms()
            },
            Terms {
                refs: Some(vec![long]),
                ..terms()
            },
            Terms {
                paths: Some(vec!["a".to_owned(); PATTERNS_MAX + 1]),
                ..terms()
            },
            Terms {
                paths: Some(vec!["a".repeat(WORD_MAX); PATTERNS_MAX]),
                ..terms()
            },
        ] {
            assert_eq!(terms.to_der(), Err(TermsError), "{terms:?}");
        }
        for repeated in [
            // Twice the refs, an empty list, a list out of its place.
            &[0x02, 1, 1, 0xa1, 3, 0x0c, 1, b'a', 0xa1, 3, 0x0c, 1, b'a'][..],
            &[0x02, 1, 1, 0xa1, 0],
            &[0x02, 1, 1, 0xa2, 3, 0x0c, 1, b'a', 0xa1, 3, 0x0c, 1, b'a'],
            &[0x02, 1, 0],
            &[0x02, 2, 0, 1],
        ] {
            let (number, rest) = repeated.split_at(2 + usize::from(repeated[1]));
            let time = b"\x17\x0d261120120000Z";
            let der = sequence(&[number, time, rest]);
            assert_eq!(Terms::from_der(&der), Err(TermsError), "{der:02x?}");
        }
    }

    #[test]
    fn a_repository_has_one_name_over_every_transport() {
        for url in [
            "https://example.org/team/tool.git",
            "https://example.org/team/tool/",
            "https://user:secret@Example.ORG:443/team/tool.git",
            "ssh://git@example.org:22/team/tool",
            "git@example.org:team/tool.git",
            "example.org:/team/tool.git",
            "git://example.org/team/tool",
            "example.org/team/tool",
        ] {
            let name = repository_name(url);
            assert_eq!(name.as_deref(), Some("example.org/team/tool"), "{url}");
        }
        let other = repository_name("ssh://git@example.org:2222/Team/tool");
        assert_eq!(other.as_deref(), Some("example.org:2222/Team/tool"));
        for none in [
            "",
            "/srv/git/tool.git",
            "../tool",
            "~/tool",
            "file:///srv/git/tool.git",
            "https://example.org",
            "https://example.org/.git",
            "tool",
        ] {
            assert_eq!(repository_name(none), None, "{none}");
        }
    }
}

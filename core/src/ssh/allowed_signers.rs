//! The file that says who may sign with which key (ssh-keygen(1), "ALLOWED SIGNERS").

use super::{
    key::{Key, KeyReadError},
    pattern::matches_list,
    time::{self, LocalTime},
};
use crate::time::UnixTime;

/// The file, line by line. What a line means for a signature is decided elsewhere.
#[derive(Clone, Debug)]
pub struct AllowedSigners {
    lines: Vec<Line>,
}

/// One line that is neither blank nor a comment.
#[derive(Clone, Debug)]
pub struct Line {
    number: usize,
    principals: String,
    entry: Result<Entry, LineError>,
}

/// What a line allows.
#[derive(Clone, Debug)]
pub struct Entry {
    key: Key,
    kind: EntryKind,
    namespaces: Option<String>,
    valid_after: Option<UnixTime>,
    valid_before: Option<UnixTime>,
}

/// Who signs under an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EntryKind {
    /// The key itself.
    Key,
    /// Whoever the key certifies.
    Authority,
}

impl AllowedSigners {
    /// Reads a file. A line that is broken is kept as such: it allows nothing, and the others
    /// stand.
    pub fn parse(text: &[u8], local: LocalTime<'_>) -> Self {
        let lines = text.split_inclusive(|byte| *byte == b'\n').enumerate();
        let lines = lines.filter_map(|(index, line)| Line::parse(index + 1, line, local));
        Self {
            lines: lines.collect(),
        }
    }

    /// Returns the lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Returns the first line that is broken.
    ///
    /// # Errors
    /// That one.
    pub fn check(&self) -> Result<(), NumberedError> {
        for line in &self.lines {
            if let Err(error) = &line.entry {
                return Err(NumberedError {
                    line: line.number,
                    error: error.clone(),
                });
            }
        }
        Ok(())
    }
}

impl Line {
    fn parse(number: usize, line: &[u8], local: LocalTime<'_>) -> Option<Self> {
        let begins = line.iter().position(|byte| !b" \t".contains(byte))?;
        let line = line.get(begins..)?;
        if line.trim_ascii().is_empty() || line.starts_with(b"#") {
            return None;
        }
        let broken = |error| {
            Some(Self {
                number,
                principals: String::new(),
                entry: Err(error),
            })
        };
        // Comments come in every encoding; names that are not UTF-8 nobody could ask for.
        let line = String::from_utf8_lossy(line);
        if line.contains('\0') {
            return broken(LineError::Text);
        }
        let Some((principals, rest)) = split_principals(&line) else {
            return broken(LineError::Line);
        };
        if principals.contains(char::REPLACEMENT_CHARACTER) {
            return broken(LineError::Text);
        }
        Some(Self {
            number,
            principals,
            entry: Entry::parse(rest.strip_suffix('\n').unwrap_or(rest), local),
        })
    }

    /// Returns its number, from one.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Returns the list of patterns for the signer's name.
    pub fn principals(&self) -> &str {
        &self.principals
    }

    /// Tells whether the list covers a name.
    pub fn covers(&self, principal: &str) -> bool {
        matches_list(principal.as_bytes(), self.principals.as_bytes())
    }

    /// Returns what it allows.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn entry(&self) -> Result<&Entry, &LineError> {
        self.entry.as_ref()
    }
}

impl Entry {
    fn parse(rest: &str, local: LocalTime<'_>) -> Result<Self, LineError> {
        // As OpenSSH does: first as a key; if that fails, there are options before it.
        if let Ok((key, _comment)) = Key::from_text(rest) {
            return Ok(Self {
                key,
                kind: EntryKind::Key,
                namespaces: None,
                valid_after: None,
                valid_before: None,
            });
        }
        let (options, rest) = split_options(rest).ok_or(LineError::UnterminatedOptions)?;
        if rest.is_empty() {
            return Err(LineError::NoKey);
        }
        let (key, _comment) = Key::from_text(rest).map_err(LineError::Key)?;
        let mut entry = Self {
            key,
            kind: EntryKind::Key,
            namespaces: None,
            valid_after: None,
            valid_before: None,
        };
        entry
            .read_options(options, local)
            .map_err(LineError::Options)?;
        Ok(entry)
    }

    fn read_options(&mut self, options: &str, local: LocalTime<'_>) -> Result<(), OptionError> {
        let mut rest = options;
        while !rest.is_empty() {
            if let Some(after) = strip_word(rest, "cert-authority") {
                self.kind = EntryKind::Authority;
                rest = after;
            } else if let Some(after) = strip_word(rest, "namespaces=") {
                rest = set(&mut self.namespaces, "namespaces", after, Some)?;
            } else if let Some(after) = strip_word(rest, "valid-after=") {
                let read = |text: String| time::parse(&text, local).ok();
                rest = set(&mut self.valid_after, "valid-after", after, read)?;
            } else if let Some(after) = strip_word(rest, "valid-before=") {
                let read = |text: String| time::parse(&text, local).ok();
                rest = set(&mut self.valid_before, "valid-before", after, read)?;
            }
            if rest.is_empty() {
                break;
            }
            rest = rest.strip_prefix(',').ok_or(OptionError::Unknown)?;
            if rest.is_empty() {
                return Err(OptionError::End);
            }
        }
        match (self.valid_after, self.valid_before) {
            (Some(after), Some(before)) if before <= after => Err(OptionError::Order),
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    /// Returns the key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Returns who signs under it.
    pub fn kind(&self) -> EntryKind {
        self.kind
    }

    /// Returns the list of patterns for namespaces; `None` allows every one.
    pub fn namespaces(&self) -> Option<&str> {
        self.namespaces.as_deref()
    }

    /// Tells whether signatures for a namespace are allowed.
    pub fn allows_namespace(&self, namespace: &str) -> bool {
        let listed = self.namespaces.as_deref();
        listed.is_none_or(|list| matches_list(namespace.as_bytes(), list.as_bytes()))
    }

    /// Returns the first second for which it holds.
    pub fn valid_after(&self) -> Option<UnixTime> {
        self.valid_after
    }

    /// Returns the last second for which it holds.
    pub fn valid_before(&self) -> Option<UnixTime> {
        self.valid_before
    }
}

/// Takes the first word off, in which quotes keep white space; `None` when nothing follows it, not
/// even the end of the line.
fn split_principals(line: &str) -> Option<(String, &str)> {
    let at = line.find(|c| c == '"' || SPACES.contains(&c))?;
    let (start, rest) = line.split_at_checked(at)?;
    let (principals, rest) = match rest.strip_prefix('"') {
        Some(quoted) => {
            let (inside, after) = quoted.split_once('"')?;
            (format!("{start}{inside}"), after)
        }
        None => (start.to_owned(), rest),
    };
    Some((principals, rest.trim_start_matches(SPACES)))
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// Splits at the first white space outside quotes.
fn split_options(text: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if matches!(bytes.peek(), Some((_, b'"'))) => {
                bytes.next();
            }
            b'"' => is_quoted = !is_quoted,
            b' ' | b'\t' if !is_quoted => {
                let (options, rest) = text.split_at_checked(at)?;
                return Some((options, rest.trim_start_matches([' ', '\t'])));
            }
            _ => {}
        }
    }
    (!is_quoted).then_some((text, ""))
}

fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then_some(rest)
}

/// Reads a quoted value and returns what follows it.
fn set<'a, T>(
    place: &mut Option<T>,
    name: &'static str,
    text: &'a str,
    read: impl FnOnce(String) -> Option<T>,
) -> Result<&'a str, OptionError> {
    if place.is_some() {
        return Err(OptionError::Twice(name));
    }
    let mut value = String::new();
    let inside = text.strip_prefix('"').ok_or(OptionError::NoStartQuote)?;
    let mut characters = inside.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' if matches!(characters.peek(), Some((_, '"'))) => {
                characters.next();
                value.push('"');
            }
            '"' => {
                let rest = inside.get(at + 1..).unwrap_or_default();
                *place = Some(read(value).ok_or(OptionError::Time(name))?);
                return Ok(rest);
            }
            c => value.push(c),
        }
    }
    Err(OptionError::NoEndQuote)
}

/// A line that allows nothing because it cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LineError {
    /// The principals are not UTF-8, or there is a NUL.
    #[error("invalid line: not text")]
    Text,
    /// One word, or a quote that does not end.
    #[error("invalid line")]
    Line,
    /// Options whose quote does not end.
    #[error("invalid options")]
    UnterminatedOptions,
    /// No key.
    #[error("missing key")]
    NoKey,
    /// The key is none.
    #[error("invalid key: {0}")]
    Key(#[source] KeyReadError),
    /// The options are not those that there are.
    #[error("bad options: {0}")]
    Options(#[source] OptionError),
}

/// Options that cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OptionError {
    /// An option that there is not.
    #[error("unknown key option")]
    Unknown,
    /// A comma and nothing after it.
    #[error("unexpected end-of-options")]
    End,
    /// An option that is there twice.
    #[error("multiple \"{0}\" clauses")]
    Twice(&'static str),
    /// A value without quotes.
    #[error("missing start quote")]
    NoStartQuote,
    /// A value whose quote does not end.
    #[error("missing end quote")]
    NoEndQuote,
    /// A value that is no time.
    #[error("invalid \"{0}\" time")]
    Time(&'static str),
    /// It ends before it begins.
    #[error("\"valid-before\" time is before \"valid-after\"")]
    Order,
}

/// A broken line and where it stands.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct NumberedError {
    /// Its number, from one.
    pub line: usize,
    /// What is wrong.
    #[source]
    pub error: LineError,
}

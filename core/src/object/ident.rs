//! Author, committer and tagger lines.

use crate::time::UnixTime;

/// A person and a date, read as git reads them (ident.c, `split_ident_line`).
///
/// Nothing here is proven: whoever makes the object chooses all of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ident<'a> {
    name: &'a [u8],
    email: &'a [u8],
    time: Option<UnixTime>,
    timezone: Option<&'a [u8]>,
}

impl<'a> Ident<'a> {
    /// Reads `name <email> seconds zone`. The name and the email may be empty and in any
    /// encoding; date and zone may be missing or nonsense, and are then `None`, both of them.
    /// `None` when there is no `<` with a `>` after it.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let open = line.iter().position(|byte| *byte == b'<')?;
        let (name, after_open) = line.split_at_checked(open)?;
        let after_open = after_open.strip_prefix(b"<")?;
        let close = after_open.iter().position(|byte| *byte == b'>')?;
        // Broken idents have another `>` in the address; the date is after the last one.
        let last_close = after_open.iter().rposition(|byte| *byte == b'>')?;
        let date = date(after_open.get(last_close + 1..)?);
        Some(Self {
            name: name.trim_ascii_end(),
            email: after_open.get(..close)?,
            time: date.map(|(time, _)| time),
            timezone: date.map(|(_, timezone)| timezone),
        })
    }

    /// Returns the name.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// Returns the email address.
    pub fn email(&self) -> &'a [u8] {
        self.email
    }

    /// Returns the date.
    pub fn time(&self) -> Option<UnixTime> {
        self.time
    }

    /// Returns the zone as it stands: a sign and digits, perhaps a zone that there is not.
    pub fn timezone(&self) -> Option<&'a [u8]> {
        self.timezone
    }
}

/// Reads `seconds zone`; git has no times before 1970, and ours end where `i64` does.
pub(super) fn date(text: &[u8]) -> Option<(UnixTime, &[u8])> {
    let (seconds, rest) = digits(text.trim_ascii_start());
    let seconds = std::str::from_utf8(seconds).ok()?.parse().ok()?;
    let zone = rest.trim_ascii_start();
    let after_sign = zone
        .strip_prefix(b"+")
        .or_else(|| zone.strip_prefix(b"-"))?;
    let (offset, _) = digits(after_sign);
    if offset.is_empty() {
        return None;
    }
    let timezone = zone.get(..=offset.len())?;
    Some((UnixTime::from_secs(seconds), timezone))
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at_checked(length).unwrap_or((text, &[]))
}

//! Times as ssh-keygen's options and allowed_signers files have them.

use der::DateTime;

use crate::time::UnixTime;

/// A date and a time of day, in whatever time zone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CivilTime {
    /// Year, 1970 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day, 1 to 31, one that the month has.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
}

/// Turns local time into a point in time; `None` when the zone has no such time.
///
/// The one who asks knows the zone: the environment is theirs.
pub type LocalTime<'a> = &'a dyn Fn(CivilTime) -> Option<UnixTime>;

/// The text is no time.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a time of the form YYYYMMDD[HHMM[SS]][Z]")]
pub struct ParseError;

impl CivilTime {
    /// Reads the time as one of UTC.
    pub fn in_utc(self) -> Option<UnixTime> {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = self;
        let at = DateTime::new(year, month, day, hour, minute, second);
        at.ok().map(UnixTime::from)
    }
}

/// Reads `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, in local time or, with `Z` or `UTC`
/// after it, in UTC.
///
/// # Errors
/// [`ParseError`], also for a day that the month does not have, an hour that the clocks skipped,
/// and the first second of 1970, which stands for nothing in these formats.
pub fn parse(text: &str, local: LocalTime<'_>) -> Result<UnixTime, ParseError> {
    let (digits, is_utc) = match (strip(text, "Z"), strip(text, "UTC")) {
        (Some(digits), _) | (None, Some(digits)) => (digits, true),
        (None, None) => (text, false),
    };
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ParseError);
    }
    let field = |at: usize, length: usize| digits.get(at..at + length).unwrap_or("0");
    let number = |at| field(at, 2).parse::<u8>().map_err(|_| ParseError);
    let civil = CivilTime {
        year: field(0, 4).parse().map_err(|_| ParseError)?,
        month: number(4)?,
        day: number(6)?,
        hour: number(8)?,
        minute: number(10)?,
        second: number(12)?,
    };
    let in_utc = civil.in_utc().ok_or(ParseError)?;
    let at = match is_utc {
        true => in_utc,
        false => local(civil).ok_or(ParseError)?,
    };
    match at.secs() {
        1.. => Ok(at),
        _ => Err(ParseError),
    }
}

fn strip<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let (digits, end) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    end.eq_ignore_ascii_case(suffix).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(text: &str) -> Option<i64> {
        // An hour behind UTC.
        let local = |civil: CivilTime| Some(civil.in_utc()?.plus(3600));
        parse(text, &local).ok().map(UnixTime::secs)
    }

    #[test]
    fn reads_local_time_and_utc() {
        assert_eq!(secs("20240101Z"), Some(1_704_067_200));
        assert_eq!(secs("20240101utc"), Some(1_704_067_200));
        assert_eq!(secs("202401010001z"), Some(1_704_067_260));
        assert_eq!(secs("20240101000001Z"), Some(1_704_067_201));
        assert_eq!(secs("20240101"), Some(1_704_070_800));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "Z",
            "2024",
            "2024010",
            "20240101 ",
            "2024010101",
            "20240230",
            "20241301",
            "2024010124000",
            "202401012400",
            "20240101235960",
            "19700101Z",
            "-2024010",
            "20240101ZZ",
            "２０２４０１０１",
        ] {
            assert_eq!(secs(text), None, "{text}");
        }
    }
}

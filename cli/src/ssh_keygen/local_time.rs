//! The time zone of the person asking: `TZ`, else the system's.

use jiff::{
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};
use notme_core::{ssh::time::CivilTime, time::UnixTime};

/// Turns local time into a point in time; `None` for one that the clocks skipped.
///
/// Of an hour that the clocks went through twice it takes the second, as ssh-keygen does. Unlike
/// ssh-keygen it reads a summer's time as a summer's: stock is an hour off then, wherever there is
/// daylight saving time.
pub(super) fn local_time(civil: CivilTime) -> Option<UnixTime> {
    in_zone(&TimeZone::system(), civil)
}

fn in_zone(zone: &TimeZone, civil: CivilTime) -> Option<UnixTime> {
    let field = |number: u8| i8::try_from(number).ok();
    let local = DateTime::new(
        i16::try_from(civil.year).ok()?,
        field(civil.month)?,
        field(civil.day)?,
        field(civil.hour)?,
        field(civil.minute)?,
        field(civil.second)?,
        0,
    )
    .ok()?;
    let offset = match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Fold { after, .. } => after,
        AmbiguousOffset::Gap { .. } => return None,
    };
    let at = offset.to_timestamp(local).ok()?;
    Some(UnixTime::from_secs(at.as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<String> {
        // New York, as POSIX writes it: nothing of this machine is asked.
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        let at = notme_core::ssh::time::parse(text, &|civil| in_zone(&zone, civil));
        at.ok().map(|at| at.to_string())
    }

    #[test]
    fn summer_and_winter_have_their_own_offsets() {
        assert_eq!(at("20240101120000").unwrap(), "2024-01-01T17:00:00Z");
        assert_eq!(at("20240701120000").unwrap(), "2024-07-01T16:00:00Z");
    }

    #[test]
    fn the_hour_that_comes_twice_is_the_second_and_the_skipped_one_is_none() {
        assert_eq!(at("20241103013000").unwrap(), "2024-11-03T06:30:00Z");
        assert_eq!(at("20240310023000"), None);
    }
}

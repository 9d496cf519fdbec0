//! `Retry-After` and the dates of HTTP (RFC 9110 5.6.7, 10.2.3). Reads no clock.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "a date of four digits for the year, checked; seconds of 64 bits"
)]

use super::syntax::trim;
use core::time::Duration;

/// The value of `Retry-After`: when a server wants to be asked again (RFC 9110 10.2.3).
///
/// ```
/// use pushline::http1::RetryAfter;
/// use std::time::Duration;
///
/// assert_eq!(RetryAfter::parse(b"120"), Some(RetryAfter::Delay(Duration::from_secs(120))));
/// // The wall clock is the caller's: time since the beginning of 1970.
/// let date = RetryAfter::parse(b"Fri, 31 Dec 1999 23:59:59 GMT").unwrap();
/// assert_eq!(date.delay(Duration::from_secs(946_684_790)), Duration::from_secs(9));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetryAfter {
    /// So long after the response was received.
    Delay(Duration),
    /// At this date, as the time since the beginning of 1970 in UTC.
    Date(Duration),
}

impl RetryAfter {
    /// Reads the value of the field; `None` if it is neither digits nor a date. Seconds beyond `u64::MAX` are that.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = core::str::from_utf8(trim(value)).ok()?;
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::Delay(Duration::from_secs(value.parse().unwrap_or(u64::MAX))));
        }
        date(value).map(|seconds| Self::Date(Duration::from_secs(seconds)))
    }

    /// For how long to wait at `now`, the time since the beginning of 1970 in UTC: nothing for a date that is past.
    #[must_use]
    pub const fn delay(self, now: Duration) -> Duration {
        match self {
            Self::Delay(delay) => delay,
            Self::Date(date) => date.saturating_sub(now),
        }
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// RFC 9110 5.6.7: one of three forms, in seconds since the beginning of 1970. The day of the week is not checked.
fn date(value: &str) -> Option<u64> {
    let (day_name, rest) = value.split_once(' ')?;
    match day_name.strip_suffix(',') {
        // Sun Nov  6 08:49:37 1994
        None if day_name.len() == 3 => {
            let (month, rest) = rest.split_once(' ')?;
            let (day, rest) = (rest.get(..2)?, rest.get(2..)?.strip_prefix(' ')?);
            let day = day.strip_prefix(' ').map_or_else(|| digits(day, 2), |day| digits(day, 1))?;
            let [time, year] = parts(rest, ' ')?;
            seconds(digits(year, 4)?, month, day, time)
        }
        // Sun, 06 Nov 1994 08:49:37 GMT
        Some(day_name) if day_name.len() == 3 => {
            let [day, month, year, time, "GMT"] = parts(rest, ' ')? else { return None };
            seconds(digits(year, 4)?, month, digits(day, 2)?, time)
        }
        // Sunday, 06-Nov-94 08:49:37 GMT. The year is one of this century: nobody asks to be asked again in the last.
        Some(day_name) if day_name.len() > 3 => {
            let [date, time, "GMT"] = parts(rest, ' ')? else { return None };
            let [day, month, year] = parts(date, '-')?;
            seconds(2000 + digits(year, 2)?, month, digits(day, 2)?, time)
        }
        _ => None,
    }
}

fn parts<const N: usize>(text: &str, separator: char) -> Option<[&str; N]> {
    let mut parts = text.split(separator);
    let mut found = [""; N];
    for part in &mut found {
        *part = parts.next()?;
    }
    parts.next().is_none().then_some(found)
}

fn digits(text: &str, count: usize) -> Option<u64> {
    let sound = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| text.parse().ok())?
}

fn seconds(year: u64, month: &str, day: u64, time: &str) -> Option<u64> {
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let [hour, minute, second] = parts(time, ':')?;
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    // 60 is a leap second.
    if year < 1970 || !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Counted in years that begin in March: the leap day is their last (Hinnant, "days_from_civil").
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(value: &str) -> Option<u64> {
        match RetryAfter::parse(value.as_bytes())? {
            RetryAfter::Date(date) => Some(date.as_secs()),
            RetryAfter::Delay(_) => None,
        }
    }

    /// RFC 9110 5.6.7.
    #[test]
    fn dates() {
        for (value, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("Sun Nov 16 08:49:37 1994", 784_975_777),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 23:59:60 GMT", 951_868_800),
            ("Friday, 27-Nov-26 00:00:00 GMT", 1_795_737_600),
            ("Fri, 27 Nov 2026 00:00:00 GMT", 1_795_737_600),
            (" Fri, 31 Dec 9999 23:59:59 GMT\t", 253_402_300_799),
        ] {
            assert_eq!(at(value), Some(seconds), "{value}");
        }
    }

    #[test]
    fn what_is_no_date() {
        for value in [
            "",
            "-1",
            "+5",
            "1.5",
            "5 s",
            "soon",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Mon, 29 Feb 2100 00:00:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sunday, 06-Nov-94-1 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov  6 08:49:37 1994 GMT",
            "\u{e9}\u{e9}, \u{e9}",
            "Sun Nov \u{e9}\u{e9}",
        ] {
            assert_eq!(RetryAfter::parse(value.as_bytes()), None, "{value}");
        }
        assert_eq!(RetryAfter::parse(b"\xff"), None);
    }

    #[test]
    fn delays() {
        let delay = |value: &[u8]| RetryAfter::parse(value).map(|after| after.delay(Duration::from_secs(10)));
        assert_eq!(delay(b"0"), Some(Duration::ZERO));
        assert_eq!(delay(b" 007 "), Some(Duration::from_secs(7)));
        assert_eq!(delay(&[b'9'; 40]), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(delay(b"Thu, 01 Jan 1970 00:00:09 GMT"), Some(Duration::ZERO));
        assert_eq!(delay(b"Thu, 01 Jan 1970 00:00:11 GMT"), Some(Duration::from_secs(1)));
    }
}

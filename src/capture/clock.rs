//! From an interface's units of time to nanoseconds.

use crate::base::Timestamp;

const NANOS: u64 = 1_000_000_000;

/// Resolution and zero of an interface's timestamps (pcapng `if_tsresol` and `if_tsoffset`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    unit: Unit,
    /// Seconds to add.
    offset: i64,
}

/// How long one unit is.
#[derive(Debug, Clone, Copy)]
enum Unit {
    /// So many nanoseconds.
    Times(u64),
    /// So many make one nanosecond.
    Part(u64),
    /// 2 to the power of minus this, in seconds.
    Binary(u32),
    /// Too short for 64 bits of it to make one nanosecond.
    None,
}

impl Clock {
    /// Microseconds, which are meant when nothing is said.
    pub(super) const MICROSECONDS: Clock = Clock { unit: Unit::Times(1000), offset: 0 };

    /// Sets the resolution as `if_tsresol` codes it.
    ///
    /// ```text
    ///  7 6 5 4 3 2 1 0
    /// +-+-+-+-+-+-+-+-+
    /// |B|  exponent n |   one unit is 10^-n seconds, or 2^-n when B is set
    /// +-+-+-+-+-+-+-+-+
    /// ```
    pub(super) fn set_resolution(&mut self, code: u8) {
        let exponent = u32::from(code & 0x7f);
        self.unit = if code & 0x80 != 0 {
            Unit::Binary(exponent)
        } else if exponent <= 9 {
            10u64.checked_pow(9 - exponent).map_or(Unit::None, Unit::Times)
        } else {
            10u64.checked_pow(exponent - 9).map_or(Unit::None, Unit::Part)
        };
    }

    /// Sets the seconds that every timestamp lies after 1970.
    pub(super) fn set_offset(&mut self, seconds: i64) {
        self.offset = seconds;
    }

    /// The time of so many units; what does not fit becomes the nearest time that does.
    #[inline]
    pub(super) fn time(self, units: u64) -> Timestamp {
        let nanos = match self.unit {
            Unit::Times(length) => u128::from(units) * u128::from(length),
            Unit::Part(count) => u128::from(units / count),
            Unit::Binary(exponent) => (u128::from(units) * u128::from(NANOS)) >> exponent,
            Unit::None => 0,
        };
        // Below 2^94 in sum: neither conversion nor addition can overflow.
        let nanos = i128::try_from(nanos).unwrap_or(i128::MAX >> 1) + i128::from(self.offset) * i128::from(NANOS);
        Timestamp(nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(resolution: u8, offset: i64) -> Clock {
        let mut clock = Clock::MICROSECONDS;
        clock.set_resolution(resolution);
        clock.set_offset(offset);
        clock
    }

    #[test]
    fn units_become_nanoseconds() {
        assert_eq!(Clock::MICROSECONDS.time(7), Timestamp(7_000));
        assert_eq!(clock(0, 0).time(3), Timestamp(3_000_000_000));
        assert_eq!(clock(9, -1).time(5), Timestamp(-999_999_995));
        assert_eq!(clock(12, 0).time(5_999), Timestamp(5));
        assert_eq!(clock(0x80, 0).time(2), Timestamp(2_000_000_000));
        assert_eq!(clock(0x8a, 10).time(1536), Timestamp(11_500_000_000));
        assert_eq!(clock(0xc0, 0).time(1 << 63), Timestamp(500_000_000));
        assert_eq!(clock(0x7f, 4).time(u64::MAX), Timestamp(4_000_000_000));
    }

    #[test]
    fn what_does_not_fit_is_clamped() {
        for code in 0..=255 {
            for offset in [i64::MIN, 0, i64::MAX] {
                clock(code, offset).time(u64::MAX);
            }
        }
        assert_eq!(clock(0, 0).time(u64::MAX), Timestamp(i64::MAX));
        assert_eq!(clock(6, i64::MIN).time(0), Timestamp(i64::MIN));
    }
}

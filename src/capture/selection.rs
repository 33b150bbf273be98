//! Which frames of a capture are looked at: those of a span of time, and those that a filter lets pass.

use super::{Filter, FilterError};
use crate::{
    time::{NotADate, Timestamp},
    wire::{Batch, FrameMeta},
};

/// A span of time: `from` lies in it, `to` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    from: Timestamp,
    to: Timestamp,
}

impl TimeRange {
    /// All of time.
    pub const ALL: Self = Self { from: Timestamp::MIN, to: Timestamp::MAX };

    /// Reads `A..B`; either may be missing, and is a date (midnight UTC) or a date and time (UTC where it has no offset).
    ///
    /// # Errors
    /// What is wrong, for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once("..").ok_or("a range is A..B, such as 2026-11-20T08:00..2026-11-20T17:30Z")?;
        let moment = |text: &str, open: Timestamp| match text.trim() {
            "" => Ok(open),
            text => text.parse().map_err(|error: NotADate| error.to_string()),
        };
        let range = Self { from: moment(from, Timestamp::MIN)?, to: moment(to, Timestamp::MAX)? };
        if range.from < range.to { Ok(range) } else { Err("the end is not after the beginning".to_owned()) }
    }

    fn holds(self, time: Timestamp) -> bool {
        self == Self::ALL || (self.from <= time && time < self.to)
    }
}

/// Takes frames out of batches; numbers stay in order, though not without holes.
#[derive(Clone, Debug)]
pub struct Selection {
    range: TimeRange,
    filter: Option<Filter>,
    kept: Vec<FrameMeta>,
}

impl Selection {
    /// Frames in `range` that pass `filter`, which is an expression as of tcpdump.
    ///
    /// # Errors
    /// [`FilterError`] where libpcap does not take the expression.
    pub fn new(range: TimeRange, filter: Option<&str>) -> Result<Self, FilterError> {
        Ok(Self { range, filter: filter.map(Filter::new).transpose()?, kept: Vec::new() })
    }

    /// What is left of a batch.
    pub fn of<'a>(&'a mut self, batch: Batch<'a>) -> Batch<'a> {
        if self.range == TimeRange::ALL && self.filter.is_none() {
            return batch;
        }
        let Self { range, filter, kept } = self;
        kept.clear();
        kept.extend(batch.frames.iter().filter(|meta| {
            let start = meta.offset as usize;
            let bytes = batch.data.get(start..start.saturating_add(meta.captured_len as usize)).unwrap_or_default();
            range.holds(meta.time) && filter.as_mut().is_none_or(|filter| filter.passes(meta, bytes))
        }));
        Batch { frames: kept, ..batch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::LinkType;

    #[test]
    fn a_range_holds_its_beginning_and_not_its_end() {
        let day = TimeRange::parse("2026-11-20..2026-11-21").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert!(day.holds(at("2026-11-20")) && day.holds(at("2026-11-21T00:59:59+01:00")));
        assert!(!day.holds(at("2026-11-21T00:00:00Z")) && !day.holds(at("2026-11-19T23:59:59")));
        assert!(TimeRange::parse("..2026-11-21").unwrap().holds(Timestamp::from_nanos(0)));
        assert!(TimeRange::parse("2026-11-21..").unwrap().holds(at("2030-01-01T12:00")));
        assert_eq!(TimeRange::parse("..").unwrap(), TimeRange::ALL);
        for wrong in ["2026-11-20", "2026-11-21..2026-11-21", "2026-11-21..2026-11-20", "noon..", "..2026-13-01"] {
            assert!(TimeRange::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn frames_are_taken_out_and_numbers_never_meet_the_next_batch() {
        let meta = |nanos, offset| FrameMeta {
            time: Timestamp::from_nanos(nanos),
            offset,
            captured_len: 2,
            original_len: 2,
            link: LinkType::Ethernet,
        };
        let frames = [meta(1, 0), meta(2, 2), meta(3, 4)];
        let batch = Batch { first_number: 7, input: 1, data: b"aabbcc", frames: &frames };
        let range = TimeRange { from: Timestamp::from_nanos(2), to: Timestamp::from_nanos(4) };
        let mut selection = Selection::new(range, None).unwrap();
        let kept: Vec<_> = selection.of(batch).iter().map(|frame| (frame.bytes.to_vec(), frame.number)).collect();
        assert_eq!(kept, [(b"bb".to_vec(), 7), (b"cc".to_vec(), 8)]);
        let mut selection = Selection::new(TimeRange::ALL, Some("greater 3")).unwrap();
        assert_eq!(selection.of(batch).frames.len(), 0);
    }
}

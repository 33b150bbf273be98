//! Who stamps the frames. The `pcap` crate can ask for a kind of stamps and does not tell whether it is offered; libpcap does.

use std::{
    ffi::{c_int, c_void},
    ptr, slice,
};

use pcap::{Capture, Inactive, TimestampType};

/// Who is asked to stamp the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamping {
    /// The kernel.
    Host,
    /// The network card.
    Adapter,
    /// The network card where its stamps are in step with the system's clock, else the kernel.
    Auto,
}

/// Who stamps the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stamps {
    /// The kernel.
    Host,
    /// The network card.
    Adapter,
}

/// What to ask an interface for; `None` where it does not offer what must be. Stamps of a clock that nobody promises to keep in
/// step will do for an interface `alone`: times of two such clocks do not compare, and a round trip between them would be
/// wrong by what they differ.
pub(super) fn choose(asked: Stamping, offered: &[c_int], alone: bool) -> Option<(Stamps, TimestampType)> {
    let offers = |kind: TimestampType| offered.contains(&(kind as c_int)).then_some((Stamps::Adapter, kind));
    let host = Some((Stamps::Host, TimestampType::Host));
    match asked {
        Stamping::Host => host,
        Stamping::Auto => offers(TimestampType::Adapter).or(host),
        Stamping::Adapter => offers(TimestampType::Adapter).or_else(|| offers(TimestampType::AdapterUnsynced).filter(|_| alone)),
    }
}

// libpcap 1.2.1 and later; see `man pcap_list_tstamp_types`. The crate that links libpcap does not declare these.
#[expect(unsafe_code, reason = "as libpcap's header has them")]
unsafe extern "C" {
    fn pcap_list_tstamp_types(handle: *mut c_void, types: *mut *mut c_int) -> c_int;
    fn pcap_free_tstamp_types(types: *mut c_int);
}

/// The kinds of stamps that an interface offers, by libpcap's numbers; empty where it offers no choice.
#[expect(unsafe_code, reason = "the crate has no call for this one question to libpcap")]
pub(super) fn offered(capture: &Capture<Inactive>) -> Vec<c_int> {
    let mut types: *mut c_int = ptr::null_mut();
    // SAFETY: the handle is alive as long as `capture`, which is not activated and belongs to this thread. libpcap sets `types` to an
    // array of as many numbers as it returns where that is above 0; it is copied, and then freed by libpcap, once.
    unsafe {
        let count = pcap_list_tstamp_types(capture.as_ptr().cast(), &raw mut types);
        let Some(count) = usize::try_from(count).ok().filter(|count| *count > 0 && !types.is_null()) else { return Vec::new() };
        let offered = slice::from_raw_parts(types, count).to_vec();
        pcap_free_tstamp_types(types);
        offered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_adapter_is_taken_where_it_is_offered() {
        let kind = |asked, offered: &[c_int]| choose(asked, offered, true).map(|(stamps, kind)| (stamps, kind as c_int));
        for none in [&[][..], &[0], &[0, 1, 2]] {
            assert_eq!(kind(Stamping::Host, none), Some((Stamps::Host, 0)));
            assert_eq!(kind(Stamping::Auto, none), Some((Stamps::Host, 0)));
            assert_eq!(kind(Stamping::Adapter, none), None);
        }
        assert_eq!(kind(Stamping::Host, &[0, 3, 4]), Some((Stamps::Host, 0)));
        assert_eq!(kind(Stamping::Auto, &[0, 3, 4]), Some((Stamps::Adapter, 3)));
        assert_eq!(kind(Stamping::Auto, &[0, 4]), Some((Stamps::Host, 0)), "a clock of its own is nobody's guess");
        assert_eq!(kind(Stamping::Adapter, &[0, 4]), Some((Stamps::Adapter, 4)));
        assert!(choose(Stamping::Adapter, &[0, 4], false).is_none(), "two clocks of their own do not compare");
        assert!(choose(Stamping::Adapter, &[0, 3], false).is_some());
    }

    #[test]
    fn libpcap_answers() {
        // Not opened, so no privilege is needed; what is offered depends on the machine, and is a short list of known kinds.
        let offered = offered(&Capture::from_device("lo").unwrap());
        assert!(offered.len() <= 5 && offered.iter().all(|kind| (0..=5).contains(kind)), "{offered:?}");
    }
}

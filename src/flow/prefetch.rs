//! Asking the processor for memory before it is needed.

/// Bytes of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Has the cache lines fetched in which a value lies. Where the processor has no such instruction, nothing happens.
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    prefetch_front(value, size_of::<T>());
}

/// The same of its first bytes only.
#[inline(always)] // the number of lines is known where it is called
pub(super) fn prefetch_front<T>(value: &T, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start: *const i8 = std::ptr::from_ref(value).cast();
        // What begins within a line may end in one more.
        let offsets = (0..=bytes / LINE).map(|nth| (nth * LINE).min(bytes.saturating_sub(1)));
        for offset in offsets {
            #[expect(unsafe_code, reason = "waiting for flows that are not in the cache is the largest cost of a packet")]
            // SAFETY: a prefetch is a hint that neither reads nor writes and cannot fault, whatever the address (Intel SDM
            // volume 2B, PREFETCHh); every x86-64 has it.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(offset));
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, bytes);
}

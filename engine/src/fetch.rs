//! Hints to the processor: what is named here will be read soon.
//!
//! A hint waits for nothing and changes nothing, whatever it names. A read would do as well, were it not that a processor
//! reads on past one that it waits for by some two hundred instructions only, and past a hint without end.
//!
//! The only module with `unsafe` in it, and `tests/tests/tidy.rs` holds it to that.

#![allow(
    unsafe_code,
    reason = "the intrinsic takes a raw pointer; a hint may name any address, also one that is not mapped"
)]

/// A line of memory, as far as it matters here.
const LINE: usize = 64;
/// Of one list at most so much: what lies behind is read seldom, or in order, which a processor sees by itself.
const LIST_MAX: usize = 16 * LINE;

/// A value is on its way into the cache.
pub(crate) fn value<T>(value: &T) {
    lines(std::ptr::from_ref(value).cast(), size_of::<T>());
}

/// A list is on its way into the cache.
pub(crate) fn list<T>(list: &[T]) {
    lines(list.as_ptr().cast(), size_of_val(list).min(LIST_MAX));
}

#[inline]
fn lines(begin: *const u8, length: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // From the beginning of the line that it begins in, so that the last one is not missed.
        let before = begin.addr() % LINE;
        for at in (0..before + length).step_by(LINE) {
            // SAFETY: a hint reads nothing, so any address will do.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(begin.wrapping_sub(before).wrapping_add(at).cast()) };
        }
    }
    // Elsewhere there is no such intrinsic in stable Rust: things are as fast as they would be without.
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (begin, length);
}

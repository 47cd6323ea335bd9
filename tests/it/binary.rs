//! The binary itself: it runs in any engine's image, whatever C library that
//! has or has not.

/// A program header that names the loader of shared libraries (`PT_INTERP` in
/// `elf.h`).
const INTERPRETER: u32 = 3;

#[test]
fn it_needs_no_library_of_the_image_that_it_runs_in() {
    let file = std::fs::read(env!("CARGO_BIN_EXE_lifeboat")).unwrap();
    assert_eq!(&file[..5], b"\x7fELF\x02", "not a 64-bit program of Linux");
    let half = |at: usize| usize::from(u16::from_le_bytes([file[at], file[at + 1]]));
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let table = u64::from_le_bytes(file[0x20..0x28].try_into().unwrap());
    let (size, count) = (half(0x36), half(0x38));
    let kinds = (0..count).map(|n| word(usize::try_from(table).unwrap() + n * size));
    let kinds: Vec<u32> = kinds.collect();
    assert!(
        !kinds.is_empty() && !kinds.contains(&INTERPRETER),
        "{kinds:?}"
    );
}

//! The dynamic loader that a program names. The kernel executes it on behalf
//! of the program, so the fence must allow that, wherever it lies.

use std::{
    ffi::OsStr,
    fs::File,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::{Path, PathBuf},
};

/// What `e_ident` begins with in a 64-bit little-endian ELF file; see elf(5).
const MAGIC: [u8; 6] = *b"\x7fELF\x02\x01";
/// `PT_INTERP`, the program header with the loader's path.
const INTERPRETER: u32 = 3;
/// The longest path that Linux takes.
const LONGEST: usize = 4096;

/// The loader of a program; `None` where it has none, or is of a kind that no
/// server programs are.
pub(super) fn of(program: &Path) -> Option<PathBuf> {
    let file = File::open(program).ok()?;
    let header: [u8; 64] = read(&file, 0)?;
    if !header.starts_with(&MAGIC) {
        return None;
    }
    let (table, size, count) = (
        u64::from_le_bytes(header[32..40].try_into().ok()?),
        u64::from(u16::from_le_bytes(header[54..56].try_into().ok()?)),
        u64::from(u16::from_le_bytes(header[56..58].try_into().ok()?)),
    );
    let entries = (0..count).filter_map(|number| read::<56>(&file, table + number * size));
    let entry = entries
        .into_iter()
        .find(|entry| entry[..4] == INTERPRETER.to_le_bytes())?;
    let offset = u64::from_le_bytes(entry[8..16].try_into().ok()?);
    let length = u64::from_le_bytes(entry[32..40].try_into().ok()?);
    let mut path = vec![0; usize::try_from(length).ok().filter(|l| *l <= LONGEST)?];
    file.read_exact_at(&mut path, offset).ok()?;
    let end = path.iter().position(|byte| *byte == 0)?;
    Some(PathBuf::from(OsStr::from_bytes(&path[..end])))
}

fn read<const N: usize>(file: &File, offset: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_tells_its_loader_and_a_script_has_none() {
        let loader = of(Path::new("/bin/sh")).unwrap();
        let name = loader.file_name().unwrap().to_string_lossy().into_owned();
        assert!(loader.is_file() && name.starts_with("ld-"), "{loader:?}");
        let script = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(script.path(), "#!/bin/sh\n".repeat(20)).unwrap();
        assert_eq!(of(script.path()), None);
    }
}

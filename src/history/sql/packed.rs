//! Records of runs that have ended, as small as they can be kept.
//!
//! One record repeats little, and all of them repeat the same: names of fields,
//! settings, summaries. So they are compressed against [`SAMPLES`], a text of
//! records of several kinds, which takes a quarter of what they take alone.

use std::{cell::RefCell, io, sync::LazyLock};

use zstd::{
    bulk::{Compressor, Decompressor},
    dict::{DecoderDictionary, EncoderDictionary},
    zstd_safe::get_frame_content_size,
};

/// What packed records begin with: against which samples they are compressed.
/// Others, of another number, may be added; these must not change any more.
const FIRST: u8 = 1;
const SAMPLES: &[u8] = include_bytes!("packed/1.jsonl");

/// Level 9 takes eight times as long for a sixth less.
const LEVEL: i32 = 3;
/// No record is larger: whatever says so is none.
const LARGEST: u64 = 1 << 30;

static PACKING: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(SAMPLES, LEVEL));
static UNPACKING: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(SAMPLES));

thread_local! {
    /// To make one takes several times as long as a record takes to unpack. `None`
    /// until one is needed.
    static UNPACKER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// A record, packed.
///
/// # Errors
/// If there is no memory for it.
pub fn pack(record: &str) -> io::Result<Vec<u8>> {
    let frame = Compressor::with_prepared_dictionary(&PACKING)?.compress(record.as_bytes())?;
    Ok([&[FIRST], frame.as_slice()].concat())
}

/// The record again.
pub(super) fn unpack(packed: &[u8]) -> io::Result<String> {
    let odd = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let Some((&FIRST, frame)) = packed.split_first() else {
        return Err(odd("it is packed in a way that is not known here"));
    };
    let size = get_frame_content_size(frame).ok().flatten();
    let size = size.filter(|size| *size <= LARGEST);
    let size = size.and_then(|size| usize::try_from(size).ok());
    let size = size.ok_or_else(|| odd("it does not say how long it is"))?;
    let record = UNPACKER.with_borrow_mut(|unpacker| {
        let unpacker = match unpacker {
            Some(unpacker) => unpacker,
            None => unpacker.insert(Decompressor::with_prepared_dictionary(&UNPACKING)?),
        };
        unpacker.decompress(frame, size)
    })?;
    String::from_utf8(record).map_err(|_| odd("it is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> impl Iterator<Item = &'static str> {
        std::str::from_utf8(SAMPLES).unwrap().lines()
    }

    #[test]
    fn what_is_packed_is_small_and_comes_back() {
        for sample in samples() {
            let other = sample.replace(['3', '7'], "5");
            let packed = pack(&other).unwrap();
            assert!(packed.len() * 5 < other.len(), "{}", packed.len());
            assert_eq!(unpack(&packed).unwrap(), other);
        }
        for odd in ["", "{}", "ä\0"] {
            assert_eq!(unpack(&pack(odd).unwrap()).unwrap(), odd);
        }
    }

    #[test]
    fn what_is_damaged_is_told() {
        let packed = pack(samples().next().unwrap()).unwrap();
        let mut other = packed.clone();
        other[0] = 2;
        assert!(unpack(&other).is_err());
        for length in 0..packed.len() {
            assert!(unpack(&packed[..length]).is_err(), "of {length} bytes");
        }
        // What was met in between does no harm to the next one.
        for place in 10..packed.len() {
            let mut other = packed.clone();
            other[place] ^= 0x55;
            drop(unpack(&other));
            assert_eq!(unpack(&packed).unwrap(), samples().next().unwrap());
        }
    }

    /// Whoever changes them cannot read what was packed before.
    #[test]
    fn the_samples_are_as_they_were() {
        let digest = xxhash_rust::xxh3::xxh3_64(SAMPLES);
        assert_eq!(digest, 0x141e_516c_160f_9b15, "{digest:#x}");
    }
}

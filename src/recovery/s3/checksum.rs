//! Checksums over whole objects.

use std::{fs::File, io::Read};

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use crc_fast::CrcAlgorithm;
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// How much of a file is read at once.
const BLOCK: usize = 1 << 20;

/// A checksum of an object's whole content, in base64 as S3 writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sum {
    Crc64(String),
    Crc32(String),
    Crc32c(String),
    Sha256(String),
    Md5(String),
}

impl Sum {
    /// What the server keeps of an object, best first: those that can be put
    /// together from ranges cost nothing extra.
    pub(super) fn kept(head: &HeadObjectOutput) -> Option<Self> {
        // Of an object uploaded in parts it may be one of the parts' sums,
        // with their number behind it.
        let whole = |text: Option<&str>| text.filter(|text| !text.contains('-')).map(str::to_owned);
        whole(head.checksum_crc64_nvme())
            .map(Self::Crc64)
            .or_else(|| whole(head.checksum_crc32_c()).map(Self::Crc32c))
            .or_else(|| whole(head.checksum_crc32()).map(Self::Crc32))
            .or_else(|| whole(head.checksum_sha256()).map(Self::Sha256))
            .or_else(|| Self::of_etag(head))
    }

    /// An entity tag is the content's MD5 where the object came in one piece
    /// and was not encrypted with a key of its own.
    fn of_etag(head: &HeadObjectOutput) -> Option<Self> {
        use aws_sdk_s3::types::ServerSideEncryption::Aes256;
        let plain = matches!(head.server_side_encryption(), None | Some(Aes256))
            && head.sse_customer_algorithm().is_none();
        let hex = head.e_tag().filter(|_| plain)?.trim_matches('"');
        let is_md5 = hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).ok();
        let bytes: Option<Vec<u8>> = is_md5.then(|| (0..32).step_by(2).map(byte).collect())?;
        bytes.map(|bytes| Self::Md5(BASE64.encode(bytes)))
    }

    /// The algorithm, where the sums of ranges can be put together.
    pub(super) fn combinable(&self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc64(_) => Some(CrcAlgorithm::Crc64Nvme),
            Self::Crc32(_) => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c(_) => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Sha256(_) | Self::Md5(_) => None,
        }
    }

    /// Whether a file, from `offset` on, has this sum.
    pub(super) fn fits_file(&self, file: &mut File, bytes: u64) -> std::io::Result<bool> {
        match self {
            Self::Sha256(text) => Ok(*text == digest::<Sha256>(file, bytes)?),
            Self::Md5(text) => Ok(*text == digest::<Md5>(file, bytes)?),
            Self::Crc64(_) | Self::Crc32(_) | Self::Crc32c(_) => Ok(false),
        }
    }

    /// Whether this is what was computed.
    pub(super) fn fits(&self, crc: &Crc) -> bool {
        match self {
            Self::Crc64(text) | Self::Crc32(text) | Self::Crc32c(text) => {
                self.combinable() == Some(crc.algorithm) && *text == crc.text()
            }
            Self::Sha256(_) | Self::Md5(_) => false,
        }
    }
}

fn digest<D: md5::Digest>(file: &mut File, bytes: u64) -> std::io::Result<String> {
    let mut state = D::new();
    let mut block = vec![0; BLOCK];
    let mut rest = file.take(bytes);
    loop {
        let read = rest.read(&mut block)?;
        if read == 0 {
            return Ok(BASE64.encode(state.finalize()));
        }
        state.update(&block[..read]);
    }
}

/// A sum that is being made: of one piece, or of pieces put together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Crc {
    algorithm: CrcAlgorithm,
    value: u64,
    bytes: u64,
}

impl Crc {
    pub(super) fn none(algorithm: CrcAlgorithm) -> Self {
        Self::of(algorithm, &[])
    }

    pub(super) fn of(algorithm: CrcAlgorithm, data: &[u8]) -> Self {
        Self {
            algorithm,
            value: crc_fast::checksum(algorithm, data),
            bytes: data.len() as u64,
        }
    }

    /// Puts what follows behind.
    pub(super) fn push(&mut self, next: &Self) {
        let algorithm = self.algorithm;
        if self.bytes == 0 {
            *self = *next;
        } else if next.bytes > 0 {
            self.value = crc_fast::checksum_combine(algorithm, self.value, next.value, next.bytes);
            self.bytes += next.bytes;
        }
    }

    /// Of how much it is.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// As S3 writes it.
    pub(super) fn text(&self) -> String {
        let bytes = self.value.to_be_bytes();
        let width = match self.algorithm {
            CrcAlgorithm::Crc64Nvme => 8,
            _ => 4,
        };
        BASE64.encode(&bytes[8 - width..])
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    const CHECK: &[u8] = b"123456789";

    #[test]
    fn sums_are_written_as_s3_does() {
        // The check values of the algorithms' catalogue.
        for (algorithm, value) in [
            (CrcAlgorithm::Crc64Nvme, 0xae8b_1486_0a79_9888_u64),
            (CrcAlgorithm::Crc32IsoHdlc, 0xcbf4_3926),
            (CrcAlgorithm::Crc32Iscsi, 0xe306_9283),
        ] {
            assert_eq!(Crc::of(algorithm, CHECK).value, value, "{algorithm}");
        }
        assert_eq!(
            Crc::of(CrcAlgorithm::Crc64Nvme, CHECK).text(),
            "rosUhgp5mIg="
        );
        assert_eq!(
            Crc::of(CrcAlgorithm::Crc32IsoHdlc, CHECK).text(),
            "y/Q5Jg=="
        );
    }

    #[test]
    fn pieces_make_the_whole() {
        for sum in [
            Sum::Crc64(String::new()),
            Sum::Crc32(String::new()),
            Sum::Crc32c(String::new()),
        ] {
            let algorithm = sum.combinable().unwrap();
            let mut whole = Crc::none(algorithm);
            for piece in [&CHECK[..4], &[], &CHECK[4..5], &CHECK[5..]] {
                whole.push(&Crc::of(algorithm, piece));
            }
            assert_eq!(whole, Crc::of(algorithm, CHECK));
        }
    }

    #[test]
    fn an_entity_tag_is_a_sum_only_of_an_object_in_one_piece() {
        let head = |etag: &str| HeadObjectOutput::builder().e_tag(etag).build();
        let md5 = Sum::kept(&head("\"25f9e794323b453885f5181f1b624d0b\"")).unwrap();
        assert_eq!(md5, Sum::Md5("JfnnlDI7RTiF9RgfG2JNCw==".to_owned()));
        assert_eq!(
            Sum::kept(&head("\"25f9e794323b453885f5181f1b624d0b-3\"")),
            None
        );
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(CHECK).unwrap();
        file.rewind().unwrap();
        assert!(md5.fits_file(&mut file, 9).unwrap());
        file.rewind().unwrap();
        assert!(!md5.fits_file(&mut file, 8).unwrap());
    }
}

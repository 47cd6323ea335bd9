//! Asks an HTTP server, with nothing but a socket.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Status and body of an answer; none where nobody answers.
pub fn ask(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Option<(u16, String)> {
    send(address, (method, path), headers, "")
}

/// The same, with a body.
pub fn send(
    address: &str,
    what: (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> Option<(u16, String)> {
    open(address, what, headers, body)?.whole()
}

/// An answer whose head is there. The rest may take its time.
pub struct Answer {
    head: String,
    stream: TcpStream,
}

/// Asks, and waits for the head of the answer.
pub fn open(
    address: &str,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_mins(1))).ok()?;
    let lines = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let headers: String = lines.collect();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    Some(Answer { head, stream })
}

impl Answer {
    /// Status and body, once the answer has ended.
    pub fn whole(mut self) -> Option<(u16, String)> {
        let mut body = String::new();
        self.stream.read_to_string(&mut body).ok()?;
        let status = self.head.split(' ').nth(1)?.parse().ok()?;
        let chunked = self
            .head
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked");
        Some((status, if chunked { joined(&body) } else { body }))
    }
}

fn joined(mut chunks: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = chunks.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        whole.push_str(&rest[..size]);
        chunks = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

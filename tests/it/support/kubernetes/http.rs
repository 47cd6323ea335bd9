//! As much of HTTP as a client of the API server speaks: requests one after
//! the other on a connection, answers whole or piece by piece. Written by hand,
//! so that a connection can be cut at any instant.

use std::{collections::BTreeMap, io, sync::Arc};

use async_trait::async_trait;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinSet,
};

/// A request, read.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What is sent back.
pub enum Reply {
    Whole(u16, Vec<u8>),
    /// Until the channel closes.
    Pieces(mpsc::UnboundedReceiver<Piece>),
    /// The connection is cut without a word.
    Cut,
    /// Nothing comes, ever.
    Hang,
}

/// A part of an answer.
pub enum Piece {
    Data(Vec<u8>),
    /// The connection is cut in the middle.
    Cut,
}

impl Reply {
    pub fn json(status: u16, value: &Value) -> Self {
        Self::Whole(status, serde_json::to_vec(value).unwrap())
    }
}

/// Answers requests.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    async fn handle(&self, request: Request) -> Reply;
}

/// Serves until it is dropped, which cuts all connections.
pub async fn serve(listener: TcpListener, handler: Arc<dyn Handler>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, handler.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, handler: Arc<dyn Handler>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    while let Some(request) = next_request(&mut read).await? {
        match handler.handle(request).await {
            Reply::Whole(status, body) => whole(&mut write, status, &body).await?,
            Reply::Pieces(pieces) => {
                if !in_pieces(&mut read, &mut write, pieces).await? {
                    return Ok(());
                }
            }
            Reply::Cut => return Ok(()),
            Reply::Hang => return read.fill_buf().await.map(drop),
        }
    }
    Ok(())
}

async fn next_request(read: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if read.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let mut length = 0;
    loop {
        let mut header = String::new();
        read.read_line(&mut header).await?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body).await?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    Ok(Some(Request {
        method,
        path: path.to_owned(),
        query: query.map(|(k, v)| (decoded(k), decoded(v))).collect(),
        body,
    }))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

async fn whole(write: &mut OwnedWriteHalf, status: u16, body: &[u8]) -> io::Result<()> {
    let mut answer = format!(
        "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend(body);
    write.write_all(&answer).await
}

/// Whether the connection can be used for more.
async fn in_pieces(
    read: &mut BufReader<OwnedReadHalf>,
    write: &mut OwnedWriteHalf,
    mut pieces: mpsc::UnboundedReceiver<Piece>,
) -> io::Result<bool> {
    let head = "HTTP/1.1 200 -\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    write.write_all(head.as_bytes()).await?;
    loop {
        let piece = tokio::select! {
            piece = pieces.recv() => piece,
            // Whoever listens says nothing meanwhile: it has gone.
            _ = read.fill_buf() => return Ok(false),
        };
        match piece {
            Some(Piece::Data(data)) => {
                let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
                chunk.extend(data);
                chunk.extend(b"\r\n");
                write.write_all(&chunk).await?;
            }
            Some(Piece::Cut) => return Ok(false),
            None => {
                write.write_all(b"0\r\n\r\n").await?;
                return Ok(true);
            }
        }
    }
}

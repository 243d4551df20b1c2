//! A web server that runs one CGI program (RFC 3875), for whoever speaks HTTP to it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::Arc,
    thread,
};

/// A server that runs as long as the process.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
}

impl Server {
    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers every request by running a program, on a free port of this machine.
///
/// # Panics
/// When there is no free port.
pub fn serve(program: impl Fn() -> Command + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let program = Arc::new(program);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let program = Arc::clone(&program);
            thread::spawn(move || answer(stream, program()));
        }
    });
    Server { address }
}

/// One request, one answer, and the connection ends.
fn answer(mut stream: TcpStream, mut program: Command) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut variables = vec![
        ("REQUEST_METHOD".to_owned(), method),
        ("PATH_INFO".to_owned(), path.to_owned()),
        ("QUERY_STRING".to_owned(), query.to_owned()),
        ("REMOTE_USER".to_owned(), "tester".to_owned()),
    ];
    let (mut length, mut is_chunked) = (0, false);
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                length = value.parse().ok()?;
                variables.push(("CONTENT_LENGTH".to_owned(), value.to_owned()));
            }
            "content-type" => variables.push(("CONTENT_TYPE".to_owned(), value.to_owned())),
            "transfer-encoding" => is_chunked = value == "chunked",
            "expect" => stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?,
            name => {
                let name = name.to_ascii_uppercase().replace('-', "_");
                variables.push((format!("HTTP_{name}"), value.to_owned()));
            }
        }
    }
    let body = match is_chunked {
        true => chunks(&mut reader)?,
        false => {
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            body
        }
    };
    let mut child = program
        .envs(variables)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    thread::spawn(move || stdin.write_all(&body));
    let said = child.wait_with_output().ok()?.stdout;
    let end = said.windows(4).position(|it| it == b"\r\n\r\n")?;
    let (head, body) = said.split_at(end + 4);
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: "));
    write!(
        stream,
        "HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: {}\r\n{head}",
        status.unwrap_or("200 OK"),
        body.len()
    )
    .ok()?;
    stream.write_all(body).ok()
}

/// Reads a body that comes in chunks (RFC 9112 section 7.1).
fn chunks(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        if length == 0 {
            return Some(body);
        }
        chunk.truncate(length);
        body.extend(chunk);
    }
}

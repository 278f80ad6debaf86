//! A receiver of OTLP over HTTP that answers as it is told to: on this machine, over plain sockets or TLS.

#![allow(dead_code)] // Each test file is a crate of its own and uses a part.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// How a request is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The connection is closed instead.
    closes: bool,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), closes: false }
    }

    /// None: the connection is closed when the request has come.
    pub fn none() -> Self {
        Self { closes: true, ..Self::status(0) }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(self, content_type: &str, body: &[u8]) -> Self {
        Self { body: body.to_vec(), ..self }.header("content-type", content_type)
    }
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Request {
    pub line: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// As it came, and without gzip.
    pub raw: Vec<u8>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(there, _)| there == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A receiver; its threads go with this process.
#[derive(Debug)]
pub struct Receiver {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    usual: Answer,
    requests: Mutex<Vec<Request>>,
    came: Condvar,
}

impl Receiver {
    /// Answers so, one after the other, and then with 200.
    pub fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::over(answers, serve)
    }

    /// Each connection goes through `serves`.
    pub(super) fn over(
        answers: impl IntoIterator<Item = Answer>,
        serves: impl Fn(TcpStream, &Shared) + Send + Sync + 'static,
    ) -> Self {
        let usual = Answer::status(200).body("application/x-protobuf", b"");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers.into_iter().collect()),
            usual,
            requests: Mutex::default(),
            came: Condvar::new(),
        });
        let (with, serves) = (Arc::clone(&shared), Arc::new(serves));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (with, serves) = (Arc::clone(&with), Arc::clone(&serves));
                thread::spawn(move || serves(stream.unwrap(), &with));
            }
        });
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What came so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Waits until `enough` is true of what came.
    pub fn wait(&self, mut enough: impl FnMut(&[Request]) -> bool) {
        let requests = self.shared.requests.lock().unwrap();
        drop(self.shared.came.wait_while(requests, |requests| !enough(requests)).unwrap());
    }
}

/// Answers what comes until the connection is closed.
pub(super) fn serve(stream: impl Read + Write, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let answer = shared.answers.lock().unwrap().pop_front();
        let answer = answer.unwrap_or_else(|| shared.usual.clone());
        shared.requests.lock().unwrap().push(request);
        shared.came.notify_all();
        if answer.closes {
            return;
        }
        let Answer { status, headers, body, .. } = answer;
        let mut head = format!("HTTP/1.1 {status} As told\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let answer = [head.as_bytes(), b"\r\n", &body].concat();
        // Whoever asked may have gone.
        let stream = reader.get_mut();
        if stream.write_all(&answer).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

/// The next request; `None` when the connection is closed.
fn read(reader: &mut BufReader<impl Read + Write>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let line = lines.remove(0);
    let header = |line: String| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let headers: Vec<_> = lines.into_iter().map(header).collect();
    let mut request = Request { line, headers, raw: Vec::new(), body: Vec::new() };
    let length = request.header("content-length").expect("a length").parse().unwrap();
    if request.header("expect").is_some() {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    request.raw = vec![0; length];
    reader.read_exact(&mut request.raw).ok()?;
    request.body = match request.header("content-encoding") {
        Some("gzip") => {
            let mut body = Vec::new();
            flate2::read::GzDecoder::new(&request.raw[..]).read_to_end(&mut body).unwrap();
            body
        }
        _ => request.raw.clone(),
    };
    Some(request)
}

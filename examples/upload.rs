//! Takes files as courses on sockets send them, several on a connection: the length of a header, the header, which is a
//! JSON dictionary with name and size, and the file. The answer to each is a line of JSON.
//!
//! ```text
//! $ cargo run --example upload 127.0.0.1:9001 uploads &
//! 127.0.0.1:9001
//! $ python3
//! >>> import json, socket, struct
//! >>> header = json.dumps({"name": "notes.txt", "size": 5}).encode()
//! >>> s = socket.create_connection(("127.0.0.1", 9001))
//! >>> s.sendall(struct.pack("i", len(header)) + header + b"hello")
//! >>> s.recv(100)
//! b'{"saved":"notes.txt","size":5}\n'
//! ```

mod common;

use std::fs::create_dir_all;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use salver::socketserver::framing::{Endian, HeaderFormat, HeaderFrames, LengthKind, LengthPrefix, Part};
use salver::socketserver::{Server, Stream, blocking, slow};
use serde_json::{Value, json};
use tempfile::{Builder, NamedTempFile};

const HEADER_BYTES_MAX: usize = 4096;
const FILE_BYTES_MAX: u64 = 1 << 30;
const LINGER: Duration = Duration::from_secs(2);

/// Receives files until the client has no more, or says what can't be understood.
fn receive_all(stream: &mut Stream, folder: &Path) -> io::Result<()> {
    let prefix = LengthPrefix::new(LengthKind::I32, Endian::Native, HEADER_BYTES_MAX);
    let mut frames = HeaderFrames::new(HeaderFormat::new(prefix, "size", FILE_BYTES_MAX));
    loop {
        match receive(stream, &mut frames, folder) {
            Ok(None) => return Ok(()),
            Ok(Some(answer)) => stream.write_all(format!("{answer}\n").as_bytes())?,
            Err(error) => {
                stream.write_all(format!("{}\n", json!({"error": error.to_string()})).as_bytes())?;
                // What is under way is read: a close before that would take the answer from the client.
                stream.shut_down_writing()?;
                stream.set_deadline(Some(Instant::now() + LINGER));
                return io::copy(stream, &mut io::sink()).map(drop);
            }
        }
    }
}

/// Receives one file, and says what became of it. One that can't be kept is read to its end all the same.
fn receive(stream: &mut Stream, frames: &mut HeaderFrames, folder: &Path) -> io::Result<Option<Value>> {
    let Some(Part::Header(header, size)) = frames.read_part(stream)? else { return Ok(None) };
    let name = header.get("name").and_then(Value::as_str).unwrap_or_default();
    // Until it is complete the file has a name that nobody can ask for; if it never is, it is removed.
    let mut file = Builder::new().prefix(".upload-").tempfile_in(folder);
    while let Some(Part::Body(bytes)) = frames.read_part(stream)? {
        file = file.and_then(|mut file| file.write_all(bytes).map(|()| file));
    }
    let reason = match file.and_then(|file| keep(file, folder, name)) {
        Ok(()) => return Ok(Some(json!({"saved": name, "size": size}))),
        Err(error) if error.kind() == ErrorKind::InvalidInput => "that is no name for a file",
        Err(error) if error.kind() == ErrorKind::AlreadyExists => "there is a file of that name already",
        Err(error) => {
            eprintln!("upload: {name:?}: {error}");
            "the server can't save it"
        }
    };
    Ok(Some(json!({"error": reason, "name": name})))
}

/// Gives a file its name: one that leads nowhere else, is not hidden, and is no other's.
fn keep(file: NamedTempFile, folder: &Path, name: &str) -> io::Result<()> {
    if name.is_empty() || name.starts_with('.') || name.contains(|c: char| c.is_control() || "/\\".contains(c)) {
        return Err(ErrorKind::InvalidInput.into());
    }
    slow(|| file.as_file().sync_all())?;
    file.persist_noclobber(folder.join(name)).map(drop).map_err(|refused| refused.error)
}

fn main() -> ExitCode {
    common::run("upload [ADDRESS [FOLDER]]", ["127.0.0.1:9001", "uploads"], |[address, folder]| {
        create_dir_all(&folder).map_err(|error| io::Error::new(error.kind(), format!("{folder}: {error}")))?;
        let server = Server::bind(address, blocking(move |stream| receive_all(stream, Path::new(&folder))))?;
        common::ready(server.local_addrs()?, server.stopper())?;
        server.serve_forever()
    })
}

//! A headless Chromium with one page, spoken to over the DevTools protocol. Every wait has a deadline, and what was
//! started is gone when it is dropped, however the test ends.
//!
//! All that the browser reports is kept in the order in which it came, so a test can look back at it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

/// How long a browser may take for one thing, its start included. Much, because it keeps a busy machine busier.
const PATIENCE: Duration = Duration::from_secs(60);

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "about:blank",
];

/// The program to start: what `SALVER_CHROMIUM` names, or else a usual name on the PATH.
pub fn find() -> Option<PathBuf> {
    if let Some(named) = env::var_os("SALVER_CHROMIUM").filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    let path = env::var_os("PATH")?;
    let mut candidates = env::split_paths(&path).flat_map(|folder| NAMES.map(|name| folder.join(name)));
    candidates.find(|candidate| candidate.is_file())
}

/// The browser with its page.
pub struct Page {
    socket: WebSocket<TcpStream>,
    session: Value,
    calls: u64,
    /// Every event of the page so far.
    events: Vec<Value>,
    _process: Process,
}

/// A response, as the page's network reports it.
#[derive(Debug, PartialEq)]
pub struct Response {
    pub url: String,
    pub status: u64,
}

impl Page {
    /// Starts this program and opens an empty page in it.
    #[track_caller]
    pub fn open(program: &Path) -> Self {
        let (process, url) = Process::start(program);
        let address = url.split('/').nth(2).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(&url, stream).unwrap();
        let mut page = Self { socket, session: Value::Null, calls: 0, events: Vec::new(), _process: process };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = page.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        page.session = attached["sessionId"].clone();
        for domain in ["Page", "Network", "Runtime", "Log"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        let window = json!({ "width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        page.call("Emulation.setDeviceMetricsOverride", window);
        page
    }

    /// Goes to a URL and waits until all of the page is there.
    #[track_caller]
    pub fn go(&mut self, url: &str) {
        self.loads(|page| {
            let gone = page.call("Page.navigate", json!({ "url": url }));
            assert_eq!(gone["errorText"], Value::Null, "{url}");
        });
    }

    /// Clicks with the mouse on the link that this selector finds, and waits until all of its page is there.
    #[track_caller]
    pub fn follow(&mut self, selector: &str) {
        self.loads(|page| page.click(selector));
    }

    /// Clicks with the mouse on the middle of the first line of what this selector finds.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{
                const element = document.querySelector({});
                element.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                const box = element.getClientRects()[0];
                return {{ x: box.x + box.width / 2, y: box.y + box.height / 2 }};
            }})()",
            json!(selector)
        ));
        for (kind, buttons) in [("mousePressed", 1), ("mouseReleased", 0)] {
            let mouse = json!({
                "type": kind, "x": place["x"], "y": place["y"], "button": "left", "buttons": buttons, "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", mouse);
        }
    }

    /// Types text where the focus is.
    #[track_caller]
    pub fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Presses a key that has no text, or Enter, by its name in the protocol and its code.
    #[track_caller]
    pub fn press(&mut self, key: &str, code: u64) {
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text,
            });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Presses Enter, and waits until all of the page that it leads to is there.
    #[track_caller]
    pub fn enter(&mut self) {
        self.loads(|page| page.press("Enter", 13));
    }

    /// Whether scripts of pages run from now on.
    #[track_caller]
    pub fn allow_scripts(&mut self, is_allowed: bool) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !is_allowed }));
    }

    /// The value of an expression in the page; of a promise, what it comes to.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let question = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", question);
        assert_eq!(answer["exceptionDetails"], Value::Null, "{expression}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression in the page is true, by asking again at each frame that is drawn.
    #[track_caller]
    pub fn until(&mut self, expression: &str) {
        self.value(&format!(
            "new Promise(done => {{
                const look = () => ({expression}) ? done() : requestAnimationFrame(look);
                look();
            }})"
        ));
    }

    /// Chooses the colour scheme that the visitor prefers: `light` or `dark`.
    #[track_caller]
    pub fn prefer(&mut self, scheme: &str) {
        let preferred = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", preferred);
    }

    /// Writes what the window shows to `NAME.png` in the folder that `SALVER_SCREENSHOTS` names, if it does.
    #[track_caller]
    pub fn screenshot(&mut self, name: &str) {
        let Some(folder) = env::var_os("SALVER_SCREENSHOTS").map(PathBuf::from) else { return };
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let picture = BASE64.decode(shot["data"].as_str().unwrap().as_bytes()).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name).with_extension("png"), picture).unwrap();
    }

    /// Every response so far.
    pub fn responses(&self) -> Vec<Response> {
        let responses = self.named("Network.responseReceived").map(|event| &event["response"]);
        responses
            .map(|response| Response {
                url: response["url"].as_str().unwrap().into(),
                status: response["status"].as_u64().unwrap(),
            })
            .collect()
    }

    /// Requests so far that failed. One that the page itself gave up is none: a player that jumps does that, and so does
    /// a script that reads no more than a head.
    pub fn failed_requests(&self) -> Vec<&Value> {
        self.named("Network.loadingFailed").filter(|event| event["canceled"] != true).collect()
    }

    /// What the console showed so far as an error or a warning, exceptions included.
    pub fn complaints(&self) -> Vec<String> {
        let logged = self.named("Log.entryAdded").map(|event| &event["entry"]);
        let logged = logged.filter(|entry| ["error", "warning"].map(Value::from).contains(&entry["level"]));
        let logged = logged.map(|entry| format!("{} {}", entry["text"], entry["url"]));
        let called = self.named("Runtime.consoleAPICalled");
        let called = called.filter(|event| ["error", "warning", "assert"].map(Value::from).contains(&event["type"]));
        logged.chain(called.chain(self.named("Runtime.exceptionThrown")).map(Value::to_string)).collect()
    }

    /// Does something that loads a page, and waits until its load event.
    #[track_caller]
    fn loads(&mut self, action: impl FnOnce(&mut Self)) {
        let loads = |page: &Self| page.named("Page.loadEventFired").count();
        let before = loads(self);
        action(self);
        let deadline = Instant::now() + PATIENCE;
        while loads(self) == before {
            let message = self.receive(deadline, "the load event");
            self.events.push(message);
        }
    }

    fn named<'a>(&'a self, method: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(move |event| event["method"] == method).map(|event| &event["params"])
    }

    /// Calls a method of the protocol and gives its result. Events that come before it are kept.
    #[track_caller]
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method, "params": params });
        if self.session.is_string() {
            call["sessionId"] = self.session.clone();
        }
        self.socket.send(Message::text(call.to_string())).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut message = self.receive(deadline, method);
            if message["id"] == self.calls {
                assert_eq!(message["error"], Value::Null, "{call}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    #[track_caller]
    fn receive(&mut self, deadline: Instant, awaited: &str) -> Value {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no answer from the browser: {awaited}");
            self.socket.get_ref().set_read_timeout(Some(left)).unwrap();
            match self.socket.read() {
                Ok(Message::Text(text)) => return serde_json::from_str(&text).unwrap(),
                Ok(_) => {}
                Err(error) => panic!("no answer from the browser: {awaited}: {error}"),
            }
        }
    }
}

/// The browser with the processes it starts, and the folder in which they keep all that they write.
struct Process {
    child: Child,
    /// What they say on standard error. It ends when the last of them ends.
    lines: Receiver<String>,
    _folder: TempDir,
}

impl Process {
    /// Starts the browser; gives it and its WebSocket URL.
    #[track_caller]
    fn start(program: &Path) -> (Self, String) {
        let folder = tempfile::tempdir().unwrap();
        let mut profile = OsString::from("--user-data-dir=");
        profile.push(folder.path());
        let mut command = Command::new(program);
        command.args(FLAGS).arg(profile).env("HOME", folder.path()).env("TMPDIR", folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        // Read all the time: a browser whose standard error is full would stand still.
        thread::spawn(move || {
            stderr
                .split(b'\n')
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(String::from_utf8_lossy(&line).into_owned()))
        });
        let process = Self { child, lines, _folder: folder };

        let deadline = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = process.lines.recv_timeout(left) else {
                panic!("{} didn't start; it said:\n{}", program.display(), said.join("\n"));
            };
            match line.strip_prefix("DevTools listening on ") {
                Some(url) => return (process, url.trim().to_owned()),
                None => said.push(line),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The browser's own processes end when they miss it. Until then they would write to the folder, or make it anew.
        let deadline = Instant::now() + PATIENCE;
        while self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
    }
}

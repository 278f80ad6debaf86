//! LTTng's user space tracer: a C tracepoint where a span begins, and one where it ends.

#![allow(unsafe_code, reason = "its tracepoints are functions of C, in a library that is loaded")]

use std::ffi::{CStr, OsStr, c_char};
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::Duration;

use libloading::Library;

use crate::case::{Case, TREE_CHILDREN};
use crate::recorder::{Arrived, Entry, Recorder, Result, Setup};
use crate::work::{POLLS, ReadyAfter, poll_to_end};

pub const ENTRY: Entry = Entry {
    name: "LTTng-UST",
    packages: &[concat!("lttng-ust=", env!("RIVALS_LTTNG_VERSION"))],
    setting: "a tracepoint at each begin and each end, called from C; a session with one channel by \
        user at default sizes, context `vtid`; `lttng stop`; its daemons are not part of the memory",
    keeps: "each begin and each end as an event of 20 to 60 bytes with the time, for babeltrace; the \
        program's threads survive nothing, its events survive the program; parents by nesting only; \
        no span that goes to another thread; counts what it discards. Not `tracing`: C",
    cases: &Case::ALL,
    has_queue_size: true,
    install,
};

/// Bytes of the largest event, with its header.
const EVENT: u64 = 64;
/// Sub-buffers of a channel.
const SUB_BUFFERS: u64 = 4;
/// The daemon takes full sub-buffers out at once; this is for the last of them.
const TAKEN: Duration = Duration::from_millis(20);

type Enter = unsafe extern "C" fn(*const c_char);
type EnterWithFields = unsafe extern "C" fn(*const c_char, u64, f64, *const c_char);
type Leave = unsafe extern "C" fn();

struct Lttng {
    enter: Enter,
    enter_with_fields: EnterWithFields,
    leave: Leave,
    session: String,
    output: PathBuf,
    _library: Library,
}

fn install(setup: &Setup<'_>) -> Result<Box<dyn Recorder>> {
    let session = format!("rivals-{}", process::id());
    let output = setup.folder.join("lttng");
    lttng(&[OsStr::new("create"), session.as_ref(), "--output".as_ref(), output.as_os_str()])?;
    let mut channel = vec!["enable-channel", "--userspace", "spans", "--session", &session];
    let size = setup.queue.map(|spans| {
        (2 * spans as u64 * EVENT).div_ceil(SUB_BUFFERS).next_power_of_two().to_string()
    });
    if let Some(size) = &size {
        channel.extend(["--subbuf-size", size]);
    }
    lttng(&channel)?;
    let of_session = ["--userspace", "--channel", "spans", "--session", &session];
    lttng(&[&["add-context", "--type", "vtid"], &of_session[..]].concat())?;
    lttng(&[&["enable-event", "rivals:*"], &of_session[..]].concat())?;
    lttng(&["start", &session])?;
    // SAFETY: it is ours, and its initialisers tell the daemon that it is there: they wait for the answer.
    let library = unsafe { Library::new(env!("RIVALS_LTTNG_SPANS"))? };
    // SAFETY: as they stand in `lttng/spans.c`; the library is kept as long as they are.
    let (enter, enter_with_fields, leave) = unsafe {
        (
            *library.get::<Enter>(b"rivals_enter\0")?,
            *library.get::<EnterWithFields>(b"rivals_enter_with_fields\0")?,
            *library.get::<Leave>(b"rivals_leave\0")?,
        )
    };
    Ok(Box::new(Lttng { enter, enter_with_fields, leave, session, output, _library: library }))
}

/// Its command; what it prints is of interest only if it fails.
fn lttng(arguments: &[impl AsRef<OsStr>]) -> Result<()> {
    let done = Command::new("lttng").args(arguments).output()?;
    if !done.status.success() {
        return Err(format!("lttng: {}", String::from_utf8_lossy(&done.stderr)).into());
    }
    Ok(())
}

/// A span: entered, and left when it goes.
struct Span<'a>(&'a Lttng);

impl Drop for Span<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: see `install`.
        unsafe { (self.0.leave)() }
    }
}

impl Lttng {
    #[inline(always)]
    fn span(&self, name: &'static CStr) -> Span<'_> {
        // SAFETY: see `install`; it copies the name.
        unsafe { (self.enter)(name.as_ptr()) };
        Span(self)
    }

    #[inline(never)]
    fn no_fields(&self, name: &'static CStr, spans: u64) {
        for n in 0..spans {
            let _span = self.span(name);
            black_box(n);
        }
    }

    #[inline(never)]
    fn three_fields(&self, spans: u64) {
        for n in 0..spans {
            // SAFETY: as in `span`.
            unsafe { (self.enter_with_fields)(c"work".as_ptr(), n, 0.5, c"checkout".as_ptr()) };
            let _span = Span(self);
            black_box(n);
        }
    }

    #[inline(never)]
    fn nested(&self, nests: u64) {
        for n in 0..nests {
            let _outer = self.span(c"outer");
            let _middle = self.span(c"middle");
            let _inner = self.span(c"inner");
            black_box(n);
        }
    }

    /// A pair of events for each poll.
    fn polled(&self, spans: u64) {
        for _ in 0..spans {
            let mut work = ReadyAfter(POLLS);
            poll_to_end(std::future::poll_fn(|context| {
                let _span = self.span(c"work");
                std::pin::Pin::new(&mut work).poll(context)
            }));
        }
    }
}

impl Recorder for Lttng {
    fn run(&mut self, case: Case, spans: u64) -> u64 {
        let pieces = spans.div_ceil(case.piece());
        match case {
            Case::NoFields => self.no_fields(c"work", pieces),
            Case::ThreeFields => self.three_fields(pieces),
            Case::Nested => self.nested(pieces),
            Case::Async => self.polled(pieces),
            Case::Tree => (0..pieces).for_each(|_| {
                let _root = self.span(c"root");
                self.no_fields(c"work", TREE_CHILDREN);
            }),
        }
        pieces * case.piece()
    }

    fn one(&mut self) -> u64 {
        black_box(self.span(c"work"));
        1
    }

    fn rest(&mut self, _: u64) -> Result<()> {
        thread::sleep(TAKEN);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        // Waits until the daemon has written what there was.
        lttng(&["stop", &self.session])?;
        lttng(&["destroy", &self.session])
    }

    fn arrived(&mut self) -> Result<Option<Arrived>> {
        read(&self.output).map(Some)
    }

    fn records(&self, case: Case, spans: u64) -> u64 {
        if case == Case::Async { spans * u64::from(POLLS) } else { spans }
    }
}

/// Counts ends, and what was discarded, which the reader tells beside the events.
fn read(output: &Path) -> Result<Arrived> {
    let mut reader = Command::new("babeltrace2")
        .arg(output)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let warnings = reader.stderr.take().ok_or("babeltrace2 has no standard error")?;
    let warnings = thread::spawn(move || {
        let mut text = String::new();
        BufReader::new(warnings).read_to_string(&mut text).map(|_| text)
    });
    let events = reader.stdout.take().ok_or("babeltrace2 has no standard output")?;
    let mut ends = 0;
    for line in BufReader::new(events).lines() {
        ends += u64::from(line?.contains(" rivals:leave:"));
    }
    let status = reader.wait()?;
    let warnings = warnings.join().map_err(|_| "what babeltrace2 warns of could not be read")??;
    if !status.success() {
        return Err(format!("babeltrace2: {warnings}").into());
    }
    // Two events are a span.
    let discarded = |line: &str| -> Option<u64> {
        line.split("discarded ").nth(1)?.split(' ').next()?.parse().ok()
    };
    let discarded: u64 = warnings.lines().filter_map(discarded).sum();
    Ok(Arrived { records: ends, said_lost: Some(discarded.div_ceil(2)) })
}

//! SIGBUS that is not about a ring file is what it would be without one.

use std::ffi::{c_int, c_void};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use spandrel_ring::file::{FileSettings, RingFile};

use crate::{Folder, witness};

const HOW: &str = "SPANDREL_RING_HOW";

static CALLS: AtomicU64 = AtomicU64::new(0);
/// Of the last call: the address of the fault, the kind of the signal, who sent it, some place on the stack, and which signals
/// are blocked meanwhile.
static SEEN: [AtomicUsize; 5] = [const { AtomicUsize::new(0) }; 5];
static BEFORE: AtomicUsize = AtomicUsize::new(0);

extern "C" fn plain(signal: c_int) {
    assert_eq!(signal, libc::SIGBUS);
    see_stack();
    count();
}

/// Behind all that is seen: another thread waits for it.
fn count() {
    CALLS.fetch_add(1, Ordering::Release);
}

extern "C" fn with_info(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    assert_eq!(signal, libc::SIGBUS);
    see_stack();
    assert!(!context.is_null());
    // SAFETY: as the system gives it.
    let about = unsafe { &*info };
    let code = about.si_code;
    // SAFETY: either is read as a number.
    let address = unsafe { about.si_addr() };
    // SAFETY: as above.
    let pid = unsafe { about.si_pid() };
    for (to, seen) in SEEN.iter().zip([address as usize, code as usize, pid as usize]) {
        to.store(seen, Ordering::Relaxed);
    }
    if code == 2 {
        // Of a mapping of the host's own: it puts a page there.
        put_page(address as usize);
    }
    count();
}

/// One that is installed later, and calls the one before it.
extern "C" fn later(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the address of a handler with these arguments.
    let before: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
        unsafe { std::mem::transmute(BEFORE.load(Ordering::Relaxed)) };
    before(signal, info, context);
    count();
}

fn put_page(address: usize) {
    let at = std::ptr::without_provenance_mut(address & !4_095);
    let own = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
    // SAFETY: a page that cannot be read.
    let at = unsafe { libc::mmap(at, 4_096, libc::PROT_READ | libc::PROT_WRITE, own, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED);
}

fn see_stack() {
    let here = 0_u8;
    SEEN[3].store(&raw const here as usize, Ordering::Relaxed);
    let blocked = [libc::SIGUSR1, libc::SIGBUS].map(is_blocked);
    SEEN[4].store(usize::from(blocked[0]) | usize::from(blocked[1]) << 1, Ordering::Relaxed);
}

fn is_blocked(signal: c_int) -> bool {
    // SAFETY: numbers.
    let mut now: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: room for the answer.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut now) };
    // SAFETY: a set.
    unsafe { libc::sigismember(&raw const now, signal) == 1 }
}

fn set(handler: usize, flags: c_int) -> usize {
    // SAFETY: numbers.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: a set.
    unsafe { libc::sigaddset(&raw mut action.sa_mask, libc::SIGUSR1) };
    // SAFETY: numbers.
    let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a handler that stays, and room for the answer.
    assert_eq!(unsafe { libc::sigaction(libc::SIGBUS, &raw const action, &raw mut before) }, 0);
    before.sa_sigaction
}

fn send() {
    // SAFETY: this process, which is asked to end.
    assert_eq!(unsafe { libc::raise(libc::SIGBUS) }, 0);
}

/// Sends it as the kernel does when memory is broken that nobody has asked for yet.
fn send_broken() {
    const BUS_MCEERR_AO: c_int = 5;
    // SAFETY: numbers.
    let mut about: libc::siginfo_t = unsafe { std::mem::zeroed() };
    (about.si_signo, about.si_code) = (libc::SIGBUS, BUS_MCEERR_AO);
    // SAFETY: a number out.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    let (call, process) = (libc::SYS_rt_tgsigqueueinfo, std::process::id());
    // SAFETY: this thread, and what it is about.
    let sent = unsafe { libc::syscall(call, process, thread, libc::SIGBUS, &raw const about) };
    assert_eq!(sent, 0);
}

/// Sends it to the process as `kill` does, and waits until it has come.
fn send_to_all() {
    let before = calls();
    // SAFETY: as above.
    assert_eq!(unsafe { libc::kill(std::process::id() as i32, libc::SIGBUS) }, 0);
    while calls() == before {
        std::thread::yield_now();
    }
}

fn calls() -> u64 {
    CALLS.load(Ordering::Acquire)
}

fn seen(what: usize) -> usize {
    SEEN[what].load(Ordering::Relaxed)
}

/// A word of a mapping that is none of a ring file, and that has no file behind it any more.
fn cut_word(folder: &Folder) -> &'static AtomicU64 {
    let path = folder.0.join("other");
    let words = witness::words(&path, 512);
    std::fs::File::options().write(true).open(path).unwrap().set_len(0).unwrap();
    &words[7]
}

/// Cuts the ring file and touches it.
fn cut_ring(folder: &Folder, file: &RingFile) {
    std::fs::File::options().write(true).open(folder.ring()).unwrap().set_len(0).unwrap();
    file.drainer()[0].store(1, Ordering::Relaxed);
    assert!(file.was_cut());
}

#[test]
#[ignore = "run by the others in a process of its own"]
fn child() {
    let Some(folder) = Folder::given() else { return };
    let how = std::env::var(HOW).unwrap();
    let (how, without) = how.strip_suffix(" without").map_or((&*how, false), |how| (how, true));
    let (disposition, deed) = how.split_once(": ").unwrap();
    let plain_one = plain as extern "C" fn(c_int) as usize;
    let with_info_one = with_info as extern "C" fn(_, _, _) as usize;
    match disposition {
        "default" => _ = set(libc::SIG_DFL, 0),
        "ignored" => _ = set(libc::SIG_IGN, 0),
        "plain" => _ = set(plain_one, 0),
        "once" => _ = set(plain_one, libc::SA_RESETHAND),
        "nodefer" => _ = set(plain_one, libc::SA_NODEFER),
        "info" => _ = set(with_info_one, libc::SA_SIGINFO),
        "onstack" => _ = set(with_info_one, libc::SA_SIGINFO | libc::SA_ONSTACK),
        // That of Rust's standard library.
        "as it is" => {}
        other => panic!("what is {other}?"),
    }
    let made = || {
        let made = RingFile::create::<[u64; 1]>(&folder.ring(), &FileSettings::default());
        (!without).then(|| made.unwrap())
    };
    let file = if without { None } else { made() };
    match deed {
        "sent" => send(),
        "sent twice" => (0..2).for_each(|_| send()),
        "sent to all" => send_to_all(),
        "broken" => send_broken(),
        "fault" => cut_word(&folder).store(1, Ordering::Relaxed),
        "cut" => cut_ring(&folder, &file.unwrap()),
        "sent and cut" => {
            send();
            cut_ring(&folder, &file.unwrap());
        }
        "fault in a child" => {
            let word = cut_word(&folder);
            // SAFETY: a child that only does what is safe there.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                // In the child the ring file is memory of its own.
                file.unwrap().drainer()[0].store(1, Ordering::Relaxed);
                word.store(1, Ordering::Relaxed);
                // SAFETY: ends at once.
                unsafe { libc::_exit(0) };
            }
            let mut status = 0;
            // SAFETY: a child of ours, and room for the answer.
            assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            let status = ExitStatus::from_raw(status);
            println!("\nchild: {:?}", status.signal());
        }
        "later, cut" => {
            let installed = later as extern "C" fn(_, _, _) as usize;
            BEFORE.store(set(installed, libc::SA_SIGINFO), Ordering::Relaxed);
            // One more ring file is no reason to put ours in front of it again.
            let other = folder.0.join("other.ring");
            let other = RingFile::create::<[u64; 1]>(&other, &FileSettings::default()).unwrap();
            cut_ring(&folder, &file.unwrap());
            assert_eq!(calls(), 1, "that one first, and then the one for ring files");
            send();
            drop(other);
        }
        other => panic!("what is {other}?"),
    }
    println!("\nlives: {} {} {}", calls(), seen(1) as c_int, seen(4));
    if deed == "sent to all" || deed == "sent" && disposition == "onstack" {
        assert!(seen(2) == std::process::id() as usize || disposition == "plain");
    }
    if disposition == "onstack" {
        // SAFETY: numbers.
        let mut stack: libc::stack_t = unsafe { std::mem::zeroed() };
        // SAFETY: room for the answer.
        assert_eq!(unsafe { libc::sigaltstack(std::ptr::null(), &raw mut stack) }, 0);
        let at = seen(3).wrapping_sub(stack.ss_sp as usize);
        assert!(stack.ss_flags & libc::SS_DISABLE == 0 && at < stack.ss_size, "not on that stack");
    }
}

/// What becomes of a process, and what it says: how often its own handler was called, the kind of the last signal, and which
/// signals were blocked in it.
fn run(how: &str) -> Result<String, Option<i32>> {
    let folder = Folder::new();
    let mut command = folder.command("signals::child");
    let output = command.env(HOW, how).stderr(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut said =
        text.lines().filter(|line| line.starts_with("lives") || line.starts_with("child"));
    match (output.status.code(), said.next()) {
        (Some(0), Some(said)) => Ok(said.to_owned()),
        _ => Err(output.status.signal()),
    }
}

const DEAD: Result<&str, Option<i32>> = Err(Some(libc::SIGBUS));

fn assert_each(cases: &[(&str, Result<&str, Option<i32>>)]) {
    for (how, expected) in cases {
        assert_eq!(run(how).as_deref(), expected.as_ref().copied(), "{how}");
    }
}

#[test]
fn a_signal_that_is_sent_ends_who_has_no_handler() {
    assert_each(&[("default: sent", DEAD), ("default: sent without", DEAD)]);
}

#[test]
fn who_ignores_it_goes_on_ignoring_it() {
    let lives = Ok("lives: 0 0 0");
    assert_each(&[("ignored: sent", lives), ("ignored: sent twice", lives)]);
    assert_each(&[("ignored: sent and cut", lives)]);
}

#[test]
fn memory_that_is_broken_and_not_asked_for_ends_who_does_not_ignore_it() {
    for suffix in ["", " without"] {
        let broken = |disposition| run(&format!("{disposition}: broken{suffix}"));
        assert_eq!(broken("ignored").as_deref(), Ok("lives: 0 0 0"), "{suffix}");
        assert_eq!(broken("default").as_deref(), DEAD.as_ref().copied(), "{suffix}");
        assert_eq!(broken("info").as_deref(), Ok("lives: 1 5 3"), "{suffix}");
    }
}

#[test]
fn a_handler_of_the_host_is_called_as_the_system_does() {
    // With its own mask, and the signal itself blocked but for `SA_NODEFER`.
    for suffix in ["", " without"] {
        let cases = [
            ("plain: sent", "lives: 1 0 3"),
            ("plain: sent twice", "lives: 2 0 3"),
            ("plain: sent to all", "lives: 1 0 3"),
            ("once: sent", "lives: 1 0 3"),
            ("nodefer: sent", "lives: 1 0 1"),
            ("info: sent to all", "lives: 1 0 3"),
            ("info: fault", "lives: 1 2 3"),
            ("onstack: fault", "lives: 1 2 3"),
        ];
        for (how, said) in cases {
            assert_eq!(run(&format!("{how}{suffix}")).as_deref(), Ok(said), "{how}{suffix}");
        }
        assert_eq!(run(&format!("once: sent twice{suffix}")), Err(Some(libc::SIGBUS)));
    }
}

#[test]
fn a_fault_elsewhere_ends_who_has_no_handler_for_it() {
    assert_each(&[("default: fault", DEAD), ("ignored: fault", DEAD), ("as it is: fault", DEAD)]);
    assert_each(&[("default: fault in a child", Ok("child: Some(7)"))]);
}

#[test]
fn what_the_standard_library_does_comes_to_the_same() {
    for deed in ["sent", "sent twice", "fault"] {
        let how = format!("as it is: {deed}");
        assert_eq!(run(&how), run(&format!("{how} without")), "{how}");
    }
    // It has set the default, of which ours is in front again.
    assert_each(&[("as it is: sent and cut", Ok("lives: 0 0 0"))]);
}

#[test]
fn a_cut_ring_is_no_signal_of_the_hosts() {
    let lives = Ok("lives: 0 0 0");
    for disposition in ["default", "ignored", "plain", "once", "info", "onstack", "as it is"] {
        if disposition != "onstack" {
            assert_each(&[(&format!("{disposition}: cut"), lives)]);
        }
    }
}

#[test]
fn a_handler_that_comes_later_and_passes_on_keeps_its_place() {
    assert_each(&[("plain: later, cut", Ok("lives: 3 0 3"))]);
}

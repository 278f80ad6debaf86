//! A call of the system that kills the process that makes it, before it does anything: the moment of a kill is then no chance.

#![allow(unsafe_code)] // a filter for system calls

use std::io;

/// From now on this process dies, by `SIGSYS`, where it would remove a file.
pub fn die_of_removing() -> io::Result<()> {
    let mut calls = vec![libc::SYS_unlinkat];
    #[cfg(target_arch = "x86_64")]
    calls.push(libc::SYS_unlink);
    die_of(&calls)
}

/// From now on this process dies of these system calls, whichever of its threads makes them.
fn die_of(calls: &[libc::c_long]) -> io::Result<()> {
    let step = |code: u32, yes: u8, no: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt: yes,
        jf: no,
        k,
    };
    // The number of the call is the first word of what the filter is asked about.
    let mut filter = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for (at, call) in calls.iter().enumerate() {
        // Over those behind it, and over the one that allows.
        let to_death = (calls.len() - at) as u8;
        let number = u32::try_from(*call).expect("numbers of calls are small");
        filter.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, to_death, 0, number));
    }
    filter.push(step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    filter.push(step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_KILL_PROCESS));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: numbers; it only takes rights away.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
    let flags = libc::SECCOMP_FILTER_FLAG_TSYNC;
    // SAFETY: the program and its filter live until the call returns, which copies them.
    check(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    })
}

fn check(result: libc::c_long) -> io::Result<()> {
    match result {
        0 => Ok(()),
        // The thread that could not be given the filter.
        1.. => Err(io::Error::other(format!("thread {result} has a filter of its own"))),
        _ => Err(io::Error::last_os_error()),
    }
}

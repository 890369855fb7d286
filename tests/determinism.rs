//! Same capture in, same bytes out, for any number of threads.

mod support;

use std::ffi::OsString;
use support::captures;
use support::run::wsscan;

const FORMS: [&[&str]; 3] =
    [&["--json"], &["--ndjson", "--events", "connection,handshake,message,frame,finding"], &["--color", "never"]];

#[test]
fn the_output_is_the_same_for_any_number_of_threads() {
    let cases = captures::all();
    let deviations: Vec<String> = support::in_parallel(&cases, |case| {
        let mut list = Vec::new();
        for form in FORMS {
            let run = |threads: &str| {
                let mut arguments: Vec<OsString> =
                    vec!["-r".into(), case.capture.clone().into(), "--threads".into(), threads.into()];
                if let Some(keylog) = &case.keylog {
                    arguments.extend(["-k".into(), keylog.clone().into()]);
                }
                arguments.extend(form.iter().map(OsString::from));
                wsscan(&arguments)
            };
            let one = run("1");
            list.extend(one.trouble().map(|t| format!("{} {form:?} --threads 1: {t}", case.name)));
            for threads in ["2", "4", "8"] {
                let other = run(threads);
                if other.stdout != one.stdout || other.code != one.code {
                    list.push(format!(
                        "{} {form:?}: --threads {threads} gives another output than --threads 1",
                        case.name
                    ));
                }
            }
        }
        list
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(deviations.is_empty(), "{}", deviations.join("\n"));
}

/// Many connections from many files, so that every shard has work at once.
#[test]
fn many_files_at_once_give_one_output() {
    let mut files: Vec<OsString> = Vec::new();
    for case in captures::all().iter().filter(|c| c.keylog.is_none()) {
        files.extend(["-r".into(), case.capture.clone().into()]);
    }
    for form in FORMS {
        let run = |threads: &str| {
            let mut arguments = files.clone();
            arguments.extend(form.iter().map(OsString::from));
            arguments.extend(["--threads".into(), threads.into()]);
            wsscan(&arguments)
        };
        let one = run("1");
        assert_eq!(one.trouble(), None, "{form:?}");
        assert!(one.stdout.len() > 10_000, "{form:?}: so many captures say more than {} bytes", one.stdout.len());
        for threads in ["2", "3", "4", "8"] {
            assert!(
                run(threads).stdout == one.stdout,
                "{form:?}: --threads {threads} gives another output than --threads 1"
            );
        }
    }
}

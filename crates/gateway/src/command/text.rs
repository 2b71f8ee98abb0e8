//! What `--help` says after the options and the man page in sections of its own.

use std::fmt::Write;

use super::secrets::{OTHER_SECRET, SECRET};

/// The end of the short help, `-h`.
pub(super) const SHORT: &str =
    "Example: sockjs-gateway --listen 127.0.0.1:8080 --route /chat=ws://127.0.0.1:9000/ws";

/// A section: its title, and terms with what they mean.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) entries: &'static [(&'static str, &'static str)],
}

pub(super) const SECTIONS: &[Section] = &[
    Section {
        title: "Environment",
        entries: &[
            (
                "SOCKJS_GATEWAY_...",
                "The variable beside each option stands for it where the option is not given. One that is set to nothing \
                 is not set, and one that is not known is an error.",
            ),
            (SECRET, "The secret of the cluster: no option, since every user of a machine can see those."),
            (OTHER_SECRET, "A second secret, which is read but not written with, while the secret changes."),
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC",
                "Set by systemd, which is told of start, reload, stop and sessions.",
            ),
        ],
    },
    Section {
        title: "Files",
        entries: &[(
            "/etc/sockjs-gateway/sockjs-gateway.toml",
            "The settings of the service that the Debian package installs. Every word of such a file is described in the \
             configuration reference, docs/configuration.md.",
        )],
    },
    Section {
        title: "Signals",
        entries: &[
            (
                "SIGTERM, SIGINT",
                "Stops: no session opens, clients fetch what they have coming within the time of --grace, and are told \
                 that the server goes away. A report is printed. A second one exits at once.",
            ),
            (
                "SIGHUP",
                "Reads the settings again. Sessions stay. What is wrong is logged, and leaves everything as it is. \
                 Changed addresses need a restart, which the log says.",
            ),
        ],
    },
    Section {
        title: "Exit status",
        entries: &[
            ("0", "It was stopped by a signal, or --check found nothing wrong."),
            (
                "1",
                "It could not start, a second signal cut the stop short, or --healthcheck found it unwell.",
            ),
            ("2", "An argument or a setting is wrong, or a file that it names cannot be used."),
        ],
    },
    Section {
        title: "Examples",
        entries: &[
            (
                "sockjs-gateway --route /chat=ws://127.0.0.1:9000/ws",
                "Serves SockJS clients at http://127.0.0.1:8080/chat, for a WebSocket server on the same machine.",
            ),
            (
                "sockjs-gateway --route /chat=wss://a.example,wss://b.example --origins https://www.example.com",
                "Two backends that take turns, for the pages of a site.",
            ),
            (
                "sockjs-gateway --config /etc/sockjs-gateway/sockjs-gateway.toml --check",
                "Tests a file with settings before a reload.",
            ),
        ],
    },
];

/// The widest line.
const WIDTH: usize = 100;

/// The sections, for the end of `--help`.
pub(super) fn help() -> String {
    let mut help = String::new();
    for Section { title, entries } in SECTIONS {
        let _ = writeln!(help, "{title}:");
        for (term, text) in *entries {
            let _ = writeln!(help, "  {term}");
            let mut line = String::from("         ");
            for word in text.split_whitespace() {
                if line.len() + 1 + word.len() > WIDTH {
                    let _ = writeln!(help, "{line}");
                    line = String::from("         ");
                }
                line.push(' ');
                line.push_str(word);
            }
            let _ = writeln!(help, "{line}");
        }
        help.push('\n');
    }
    help.truncate(help.trim_end().len());
    help
}

//! The man page, of the same texts as `--help`.

use std::fmt::Write;

use clap::{ArgAction, CommandFactory};
use clap_mangen::Man;

use super::{
    arguments::Arguments,
    text::{SECTIONS, Section},
};

/// Set to anything, it has the page written anew.
const WRITE: &str = "WRITE_MAN_PAGE";

fn page() -> String {
    // Without a date and a version, which would change the page when nothing of it has.
    let man = Man::new(Arguments::command()).source("sockjs-gateway").manual("User Commands").date("");
    let mut page = Vec::new();
    // Each part begins with the same two lines about apostrophes.
    const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    page.extend(synopsis().into_bytes());
    man.render_description_section(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    let mut page = PREAMBLE.to_owned() + &page.replace(PREAMBLE, "");
    for Section { title, entries } in SECTIONS {
        writeln!(page, ".SH {}", title.to_uppercase()).unwrap();
        for (term, text) in *entries {
            writeln!(page, ".TP\n\\fB{}\\fR\n{}", escaped(term), escaped(text)).unwrap();
        }
    }
    page.push_str(".SH SEE ALSO\n\\fBsystemctl\\fR(1), \\fBnginx\\fR(8), \\fBhaproxy\\fR(1)\n");
    page
}

/// `clap_mangen` has the values in it for arguments without a name only.
fn synopsis() -> String {
    let mut command = Arguments::command();
    command.build();
    let mut text = format!(".SH SYNOPSIS\n\\fB{}\\fR", escaped("sockjs-gateway"));
    for argument in command.get_arguments() {
        let long =
            argument.get_long().map(|long| format!("\\fB{}\\fR", escaped(&format!("--{long}")))).unwrap();
        let short = argument.get_short().map_or(String::new(), |short| format!("\\fB\\-{short}\\fR|"));
        let takes_value = argument.get_action().takes_values();
        let value = argument.get_value_names().filter(|_| takes_value).and_then(|names| names.first());
        let value = value.map_or(String::new(), |name| format!(" \\fI<{}>\\fR", escaped(name)));
        let several = if matches!(argument.get_action(), ArgAction::Append) { "..." } else { "" };
        write!(text, " [{short}{long}{value}]{several}").unwrap();
    }
    text + "\n"
}

fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[test]
fn the_man_page_is_that_of_the_arguments() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/man/sockjs-gateway.1");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == page(), "{path} is old: run this test with {WRITE}=1");
}

#[test]
fn the_synopsis_has_the_values() {
    let synopsis = synopsis().replace("\\fB", "").replace("\\fI", "").replace("\\fR", "").replace('\\', "");
    assert!(synopsis.starts_with(".SH SYNOPSIS\nsockjs-gateway [-c|--config <FILE>] "), "{synopsis}");
    for part in
        ["[-r|--route <PATH=URL[,URL...]>]... ", "[--http2 <BOOL>] ", "[--check] ", " [-V|--version]\n"]
    {
        assert!(synopsis.contains(part), "{part}: {synopsis}");
    }
}

#[test]
fn the_help_has_every_section() {
    let help = Arguments::command().render_long_help().to_string();
    let page = page();
    for Section { title, entries } in SECTIONS {
        assert!(help.contains(&format!("\n{title}:\n")), "{title}");
        assert!(page.contains(&format!("\n.SH {}\n", title.to_uppercase())), "{title}");
        for (term, _) in *entries {
            assert!(help.contains(&format!("\n  {term}\n")), "{term}");
            assert!(page.contains(&escaped(term)), "{term}");
        }
    }
}

#[test]
fn the_arguments_are_consistent() {
    Arguments::command().debug_assert();
}

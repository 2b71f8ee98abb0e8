//! The man page, of the same texts as `--help`.

use std::fmt::Write;

use clap::CommandFactory;
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
    man.render_synopsis_section(&mut page).unwrap();
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

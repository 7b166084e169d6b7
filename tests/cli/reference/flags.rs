//! Commands and flags.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, Command, CommandFactory as _};
use hypermirror::cli::Cli;

use super::page::{Page, Section, codes};

/// The section of flags that help does not show.
const HIDDEN: &str = "Tuning";

/// The sections of the others; the title ends in the command, or the tables have a column of commands.
const SHOWN: [&str; 4] =
    ["Flags of the commands", "Flags of the manager", "Flags of the agent", "Flags of the registry-manager"];

/// A command's flags by `command --flag`.
type Flags = BTreeMap<String, Flag>;

struct Flag {
    is_hidden: bool,
    default: Option<String>,
}

#[test]
fn the_reference_has_every_command() {
    let page = Page::read("docs/reference.md");
    let section = page.section("Commands");
    let first_words = section.names("command").into_iter().map(|name| {
        let words: Vec<_> =
            name.split(' ').take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).collect();
        words.join(" ")
    });
    section.assert_names(&first_words.collect(), &commands(), "Command (src/cli/mod.rs)");
}

#[test]
fn the_reference_has_every_flag() {
    let page = Page::read("docs/reference.md");
    let flags = flags();
    let in_code = |hidden: bool| -> BTreeSet<String> {
        flags.iter().filter(|(_, flag)| flag.is_hidden == hidden).map(|(name, _)| name.clone()).collect()
    };
    let mut shown = BTreeSet::new();
    for title in SHOWN {
        shown.extend(listed(&page.section(title)).into_keys());
    }
    let shown_in_code = in_code(false);
    for title in SHOWN {
        // Each section is stderr what it lacks; what is listed in another one is not lacking.
        let section = page.section(title);
        let own = listed(&section).into_keys().collect::<BTreeSet<_>>();
        let belongs = |name: &&String| own.contains(*name) || (!shown.contains(*name) && section_of(name) == title);
        let wanted = shown_in_code.iter().filter(belongs).cloned().collect();
        section.assert_names(&own, &wanted, "clap's flags that are not hidden");
    }
    let hidden = page.section(HIDDEN);
    hidden.assert_names(&listed(&hidden).into_keys().collect(), &in_code(true), "clap's flags with hide = true");
}

#[test]
fn the_reference_has_the_defaults() {
    let page = Page::read("docs/reference.md");
    let flags = flags();
    let mut wrong = Vec::new();
    for title in SHOWN.into_iter().chain([HIDDEN]) {
        // Where there is a column of defaults.
        for (name, default) in listed(&page.section(title)) {
            let in_code = flags.get(&name).and_then(|flag| flag.default.clone());
            if let (Some(on_page), Some(in_code)) = (default, in_code)
                && codes(&on_page).first().cloned().unwrap_or_default() != in_code
            {
                wrong.push(format!("{title}: {name} has the default `{in_code}`, not {on_page}"));
            }
        }
    }
    assert!(wrong.is_empty(), "docs/reference.md:\n  {}", wrong.join("\n  "));
}

/// Where a flag that is not listed at all belongs.
fn section_of(name: &str) -> &'static str {
    match name.split(' ').next() {
        Some("manager") => SHOWN[1],
        Some("agent") => SHOWN[2],
        Some("registry-manager") => SHOWN[3],
        _ => SHOWN[0],
    }
}

/// The flags that a section lists, with the cell of their default. A group of commands (`render`) stands for all of them.
fn listed(section: &Section<'_>) -> BTreeMap<String, Option<String>> {
    let commands = commands();
    let of_title: Vec<String> = section.title().rsplit(' ').next().map(str::to_owned).into_iter().collect();
    let mut found = BTreeMap::new();
    for table in section.tables() {
        let rows = table.column("flag").len();
        let named = if table.has("command") { table.column("command") } else { vec![""; rows] };
        let defaults = if table.has("default") { table.own("default") } else { Vec::new() };
        for (place, (named, flags)) in named.into_iter().zip(table.column("flag")).enumerate() {
            let named = if table.has("command") { codes(named) } else { of_title.clone() };
            for flag in codes(flags) {
                let word = flag.split([' ', '=']).next().unwrap_or_default().to_owned();
                for command in named.iter().flat_map(|name| members(&commands, name)) {
                    found.insert(format!("{command} {word}"), defaults.get(place).map(|cell| (*cell).to_owned()));
                }
            }
        }
    }
    found
}

/// The command of this name, or those of this group; what is neither stays, so that it is found to be too much.
fn members(commands: &BTreeSet<String>, name: &str) -> Vec<String> {
    let group: Vec<_> = commands.iter().filter(|command| command.starts_with(&format!("{name} "))).cloned().collect();
    if commands.contains(name) || group.is_empty() { vec![name.to_owned()] } else { group }
}

/// Every command that can be run, by its words.
fn commands() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(&built(), "", &mut |name, _| {
        found.insert(name.to_owned());
    });
    found
}

fn flags() -> Flags {
    let mut found = Flags::new();
    walk(&built(), "", &mut |name, command| {
        for arg in command.get_arguments().filter(|arg| !["help", "version"].contains(&arg.get_id().as_str())) {
            let long = arg.get_long().map(|long| format!("--{long}"));
            for flag in long.into_iter().chain(arg.get_short().map(|short| format!("-{short}"))) {
                found.insert(format!("{name} {flag}"), Flag { is_hidden: arg.is_hide_set(), default: default(arg) });
            }
        }
    });
    found
}

fn default(arg: &Arg) -> Option<String> {
    let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let takes_value = arg.get_action().takes_values();
    (takes_value && !values.is_empty()).then(|| values.join(",")).filter(|value| !value.is_empty())
}

fn built() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// Calls back for each command below this one; one that needs a subcommand cannot be run itself.
fn walk(command: &Command, above: &str, found: &mut dyn FnMut(&str, &Command)) {
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let name = format!("{above} {}", sub.get_name()).trim_start().to_owned();
        if !sub.is_subcommand_required_set() {
            found(&name, sub);
        }
        walk(sub, &name, found);
    }
}

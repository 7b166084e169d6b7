//! The page of what could not be read or does not exist. Pure.

use maud::html;

use super::super::layout::Page;
use super::super::links::Tab;

/// Why there is nothing to show.
pub fn page(tab: Tab, title: &str, cause: &str, advice: &str) -> Page {
    Page {
        tab,
        title: title.to_owned(),
        lead: html! {},
        content: html! { div.banner role="alert" { p.cause { (cause) } p { (advice) } } },
    }
}

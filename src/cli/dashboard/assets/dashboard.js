// What htmx alone cannot say: that the dashboard has ended, and that nobody looks.
"use strict";
document.addEventListener("htmx:sendError", () => { document.getElementById("ended").hidden = false; });
document.addEventListener("htmx:afterOnLoad", () => { document.getElementById("ended").hidden = true; });
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && event.detail.elt.hasAttribute("data-poll")) event.preventDefault();
});

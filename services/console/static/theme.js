// Before anything is drawn: the theme that was chosen here earlier, else the system's.
"use strict";
{
  const chosen = localStorage.getItem("headrace-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
}

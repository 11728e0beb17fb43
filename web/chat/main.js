/**
 * Puts the chat page together: who the person is, the connection, the rooms and the views on them.
 */
import { Connection, missingClient } from "../shared/connection.js";
import { byId, showProblem } from "../shared/dom.js";
import { Chat } from "./chat.js";
import { ComposerView } from "./composer-view.js";
import { Identity } from "./identity.js";
import { joinDialog, leaveDialog, profileDialog, welcomePage } from "./dialogs.js";
import { MessagesView } from "./messages-view.js";
import { Panels } from "./panels.js";
import { PeopleView } from "./people-view.js";
import { Place } from "./place.js";
import { RoomsView } from "./rooms-view.js";
import { SearchView } from "./search-view.js";
import { StatusView } from "./status-view.js";

const missing = await missingClient();
if (missing) {
  byId("welcome").hidden = false;
  byId("welcome-form")
    .querySelectorAll("input, button")
    .forEach((control) => control.setAttribute("disabled", ""));
  showProblem("welcome-problem", missing);
} else {
  start();
}

function start() {
  const identity = new Identity();
  const connection = new Connection("/", () => identity.auth());
  const chat = new Chat(connection, identity);
  const place = new Place(chat);
  const panels = new Panels(place);
  const join = joinDialog((name) => chat.open(name));
  const leave = leaveDialog(chat);
  const profile = profileDialog(identity, place, () => connection.connect());

  new MessagesView(chat, join, leave);
  new PeopleView(chat);
  new ComposerView(chat);
  new SearchView(chat);
  new StatusView(chat, profile);
  new RoomsView(chat, panels, join, leave);
  byId("me").addEventListener("click", () => profile.open());

  connection.addEventListener("up", () => identity.remember(connection.ids));

  addEventListener("beforeunload", (event) => {
    // The browser asks whether to leave them.
    if ([...chat.rooms.values()].some(({ unsent }) => unsent.length > 0)) event.preventDefault();
  });

  const enter = () => {
    byId("welcome").hidden = true;
    byId("app").hidden = false;
    connection.connect();
    place.restore();
    if (!panels.narrow) byId("composer-text").focus();
  };
  if (identity.name) enter();
  else welcomePage(identity, place, enter);
}

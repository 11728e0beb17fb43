/**
 * The lists at the sides: columns on a wide screen, drawers on a narrow one. A closed drawer is inert, so
 * that the keyboard does not get lost in it.
 */
import { byId } from "../shared/dom.js";

export class Panels {
  #query = matchMedia("(max-width: 860px)");
  #rooms = byId("rooms-panel");
  #people = byId("people-panel");
  #drawer = "";

  /** @param {import("./place.js").Place} place */
  constructor(place) {
    this.place = place;
    this.#query.addEventListener("change", () => this.closeDrawer());
    place.addEventListener("settings", () => this.#show());
    byId("rooms-toggle").addEventListener("click", () => this.#open("rooms"));
    byId("people-toggle").addEventListener("click", () => {
      if (this.narrow) this.#open("people");
      else place.set({ people: !place.link.people });
    });
    byId("backdrop").addEventListener("click", () => this.closeDrawer());
    for (const button of document.querySelectorAll("[data-close]")) {
      button.addEventListener("click", () => (this.narrow ? this.closeDrawer() : place.set({ people: false })));
    }
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#drawer && !document.querySelector("dialog[open]")) this.closeDrawer();
    });
    this.#show();
  }

  get narrow() {
    return this.#query.matches;
  }

  closeDrawer() {
    const was = this.#drawer;
    this.#drawer = "";
    this.#show();
    if (was) byId(`${was}-toggle`).focus();
  }

  /** @param {'rooms' | 'people'} drawer */
  #open(drawer) {
    this.#drawer = drawer;
    this.#show();
    const panel = drawer === "rooms" ? this.#rooms : this.#people;
    /** @type {HTMLElement | null} */ (panel.querySelector("[aria-current=page], [data-close]"))?.focus();
  }

  #show() {
    const { narrow } = this;
    const rooms = !narrow || this.#drawer === "rooms";
    const people = narrow ? this.#drawer === "people" : this.place.link.people;
    this.#rooms.inert = !rooms;
    this.#people.inert = !people;
    this.#rooms.classList.toggle("open", rooms);
    this.#people.classList.toggle("open", people);
    byId("conversation").inert = this.#drawer !== "";
    byId("backdrop").hidden = this.#drawer === "";
    byId("rooms-toggle").setAttribute("aria-expanded", String(rooms));
    byId("people-toggle").setAttribute("aria-expanded", String(people));
    byId("app").classList.toggle("without-people", !people);
  }
}

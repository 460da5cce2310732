import { render } from "preact";
import "./state/keeper.ts";
import { App } from "./app.tsx";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/screens.css";
import "./styles/apps.css";
import "./styles/settings.css";
import "./styles/app.css";
import "./styles/rules.css";

const page = document.getElementById("app") as HTMLElement;
page.replaceChildren();
render(<App />, page);

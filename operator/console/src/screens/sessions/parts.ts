/** What most visits never need: see ../background.ts. */
import { background } from "../runs/parts.ts";

export const ConversationPanel = background.part("ConversationPanel");
export const SessionsTab = background.part("SessionsTab");

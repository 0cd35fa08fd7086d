// Owns that tests do not depend on the shell they run in: the server's settings are taken out of the
// environment. A vitest setup file.

import { SETTING_LIST } from '../../server/config/layers.ts';

for (const { setting } of SETTING_LIST) delete process.env[setting.variable];

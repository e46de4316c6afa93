import { Vector3 } from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";

const length = new Vector3(3, 4, 0).length();
await document.fonts.load('400 16px "Inter"');
document.getElementById("modules").textContent =
	`length ${length}, controls ${typeof OrbitControls}, bootstrap ${typeof bootstrap.Modal}, font ${document.fonts.check('400 16px "Inter"')}`;

export { Anomaly as AnomalyAlert } from '../anomaly.js'

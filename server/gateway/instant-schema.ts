// Owns how an instant stands in schemas.

import { Type } from 'typebox';

export const instantSchema = Type.String({ description: 'RFC 3339, UTC', examples: ['2024-01-15T10:30:00Z'] });
export const instantOrNullSchema = Type.Union([instantSchema, Type.Null()], { examples: [null] });

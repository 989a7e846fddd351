package remote

// This file and the others named recipe… are the extension that RECIPES.md specifies: a generation travels as its
// recipe and the chunks that the other side lacks.

// MaxBases is how many generations are named at most in one request for a recipe.
const MaxBases = 8

// The checks of recipes and of single parts of modules.
const (
	CheckRecipe Check = "recipe" // the recipe decodes, is of the generation asked for, and its chunks are what it says
	CheckRange  Check = "range"  // the parts that come are those that were asked for
)
